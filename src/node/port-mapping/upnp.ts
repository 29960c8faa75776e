import { randomInt } from 'node:crypto'
import type { LocalAddress } from '../../core/io.ts'
import { type Fetched, fetchText } from './fetch-text.ts'
import {
  CONFLICT_IN_MAPPING,
  type Control,
  callOf,
  controlOf,
  element,
  ONLY_PERMANENT_LEASES,
} from './igd.ts'
import { isUsable, type Lease, LIFETIME_S, type Offer, type Wanted } from './lease.ts'
import { SSDP_GROUP, searchGateways } from './ssdp.ts'
import { within } from './within.ts'

/** How long gateways are searched for, and one gateway may take to answer a call. */
const SEARCH_MS = 2_000
const CALL_MS = 2_000
/** Guess: more gateways than any link has. Each costs two calls. */
const GATEWAYS_MAX = 8
/** Guess: tries to find a port that no other host has. */
const PORT_ATTEMPTS_MAX = 4
/** RFC 6335 §6: dynamic ports. */
const DYNAMIC_PORTS = [49_152, 65_536] as const

/**
 * UPnP's Internet gateways. Probes by searching for one, on the way out where that is known, that has
 * an external address.
 */
export async function probeUpnp(
  wanted: Wanted,
  signal: AbortSignal,
  group: LocalAddress = SSDP_GROUP,
): Promise<Offer | undefined> {
  const gateway = await within(SEARCH_MS, signal, (ending) => search(wanted, group, ending))
  return gateway && (async () => (signal.aborted ? undefined : lease(gateway, wanted, wanted.port)))
}

/** A gateway that was reached. */
interface Gateway {
  readonly control: Control
  /** The address of ours to ask from. */
  readonly from: string
}

function search({ uplink }: Wanted, group: LocalAddress, ending: AbortSignal) {
  const seen = new Set<string>()
  return new Promise<Gateway | undefined>((resolve) => {
    ending.addEventListener('abort', () => resolve(undefined))
    if (ending.aborted) resolve(undefined)
    searchGateways(uplink.host, group, ending, (location) => {
      const isOurs = uplink.gateway === undefined || uplink.gateway.host === location.hostname
      if (!isOurs || seen.has(location.href) || seen.size === GATEWAYS_MAX) return
      seen.add(location.href)
      void reach(location, uplink.host, ending).then((gateway) => gateway && resolve(gateway))
    })
  })
}

async function reach(
  location: URL,
  from: string,
  ending: AbortSignal,
): Promise<Gateway | undefined> {
  const description = await fetchText(location, { from, method: 'GET' }, ending)
  if (description?.status !== 200) return undefined
  const control = controlOf(description.text, location)
  if (control === undefined) return undefined
  const gateway = { control, from }
  return (await externalHost(gateway, ending)) === undefined ? undefined : gateway
}

/** The protocol tells no lifetime: what was asked for, a gateway gives, or a permanent one. */
async function lease(gateway: Gateway, wanted: Wanted, port: number): Promise<Lease | undefined> {
  const [host, externalPort] = await Promise.all([
    externalHost(gateway),
    addMapping(gateway, wanted, port),
  ])
  if (externalPort === undefined) return undefined
  const release = async () => {
    const values = { NewRemoteHost: '', NewExternalPort: externalPort, NewProtocol: 'UDP' }
    await call(gateway, 'DeletePortMapping', values)
  }
  return {
    // A host that nobody can use is dropped with the lease.
    mapping: { protocol: 'upnp', external: { host: host ?? '0.0.0.0', port: externalPort } },
    lifetimeMs: LIFETIME_S * 1_000,
    renew: () => lease(gateway, wanted, externalPort),
    release,
  }
}

async function externalHost(gateway: Gateway, signal?: AbortSignal): Promise<string | undefined> {
  const answer = await call(gateway, 'GetExternalIPAddress', {}, signal)
  const host = answer?.status === 200 ? element(answer.text, 'NewExternalIPAddress') : undefined
  const mapping = { protocol: 'upnp', external: { host: host ?? '', port: 1 } } as const
  return isUsable(mapping) ? host : undefined
}

/** The external port that was mapped: the one wished for, unless another host has it. */
async function addMapping(
  gateway: Gateway,
  { uplink, port }: Wanted,
  wished: number,
): Promise<number | undefined> {
  let externalPort = wished
  let lifetimeS = LIFETIME_S
  for (let attempt = 1; attempt <= PORT_ATTEMPTS_MAX; attempt++) {
    const answer = await call(gateway, 'AddPortMapping', {
      NewRemoteHost: '',
      NewExternalPort: externalPort,
      NewProtocol: 'UDP',
      NewInternalPort: port,
      NewInternalClient: uplink.host,
      NewEnabled: 1,
      NewPortMappingDescription: 'latica',
      NewLeaseDuration: lifetimeS,
    })
    if (answer?.status === 200) return externalPort
    const code = element(answer?.text ?? '', 'errorCode')
    if (code === CONFLICT_IN_MAPPING) externalPort = randomInt(...DYNAMIC_PORTS)
    else if (code === ONLY_PERMANENT_LEASES && lifetimeS !== 0) lifetimeS = 0
    else return undefined
  }
  return undefined
}

function call(
  { control, from }: Gateway,
  action: string,
  values: Readonly<Record<string, string | number>>,
  signal?: AbortSignal,
): Promise<Fetched | undefined> {
  const headers = {
    'Content-Type': 'text/xml; charset="utf-8"',
    SOAPAction: `"${control.service}#${action}"`,
  }
  const body = callOf(control, action, values)
  return within(CALL_MS, signal, (ending) =>
    fetchText(control.url, { from, method: 'POST', headers, body }, ending),
  )
}
