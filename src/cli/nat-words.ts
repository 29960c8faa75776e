import type { LocalAddress, NatVector, PortMapping } from '../core/io.ts'
import { classifyHost } from '../core/wire/address.ts'

/**
 * A NAT vector in words that need no RFC. It says what is known and what is not; what follows from it
 * is `diagnose`'s business.
 */

const PROTOCOL: Readonly<Record<PortMapping['protocol'], string>> = {
  pcp: 'PCP',
  'nat-pmp': 'NAT-PMP',
  upnp: 'UPnP',
}

/** One sentence about what stands before us, or undefined when nothing of it is known. */
export function routerSentence(nat: NatVector): string | undefined {
  const { mapping, isTranslated } = nat
  if (isTranslated === false)
    return `No router changes the address of this machine (good)${gate(nat)}.`
  if (mapping === 'endpoint-independent')
    return `Behind a router that keeps one address for everything you do (good)${gate(nat)}.`
  if (mapping === 'endpoint-dependent')
    return (
      'Behind a router that gives you another port for every remote you write to ' +
      `(hard; elsewhere called a "symmetric NAT"), ${ports(nat)}${gate(nat)}.`
    )
  return undefined
}

/** Who may write to us without being written to first. */
function gate({ filtering, isTranslated }: NatVector): string {
  const who = isTranslated === false ? ', and a firewall' : ', and'
  switch (filtering) {
    case 'endpoint-independent':
      return isTranslated === false ? ', and nothing holds strangers back' : `${who} lets in anyone`
    case 'address-dependent':
      return `${who} lets in only machines that you wrote to first`
    case 'address-and-port-dependent':
      return `${who} lets in only who you wrote to first`
    case 'unknown':
      return `; whom ${isTranslated === false ? 'a firewall' : 'it'} lets in is not known yet`
  }
}

function ports({ allocation }: NatVector): string {
  switch (allocation) {
    case 'sequential':
      return 'counting up, so that the next one can be foreseen'
    case 'block':
      return 'out of a small range'
    case 'random':
      return 'which nobody can foresee'
    case 'preserving':
      return 'though it keeps your own where that is free'
    case 'unknown':
      return 'in an order that is not known yet'
  }
}

export function addressText({ host, port }: LocalAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

export function portMappingText({ protocol, external }: PortMapping): string {
  return `the router forwards ${addressText(external)} to this peer (asked by ${PROTOCOL[protocol]})`
}

/** The forwarded address, when the whole internet can write to it. */
export function openMapping(nat: NatVector): LocalAddress | undefined {
  const external = nat.portMapping?.external
  return external !== undefined && classifyHost(external.host) === 'global' ? external : undefined
}

/** Whether a remote cannot know the port that the router will use for it. */
export function changesPorts(nat: NatVector | undefined): boolean {
  return nat?.mapping === 'endpoint-dependent' && openMapping(nat) === undefined
}

/** The vector with everything that is not known as null, so that its keys are always the same. */
export function plainNat(nat: NatVector): Readonly<Record<keyof NatVector, unknown>> {
  return {
    mapping: nat.mapping,
    filtering: nat.filtering,
    allocation: nat.allocation,
    isTranslated: nat.isTranslated ?? null,
    external: nat.external,
    hairpin: nat.hairpin ?? null,
    lifetimeMs: nat.lifetimeMs ?? null,
    absoluteLifetimeMs: nat.absoluteLifetimeMs ?? null,
    portMapping: nat.portMapping ?? null,
    isCarrier: nat.isCarrier,
  }
}
