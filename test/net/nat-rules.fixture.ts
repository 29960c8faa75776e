/**
 * The nftables rules of a NAT: what a router of the lab does, as text. Interfaces are called `wan` and
 * `lan`. It decides how addresses and ports are translated and what is dropped; addresses, cables and
 * the lifetimes of connection tracking are the lab's.
 *
 * Plain Linux gives endpoint-independent mapping only as long as one host keeps its ports. For the
 * rest, maps are learned from what leaves after translation: every later connection of an inside
 * endpoint takes the outside endpoint it has in `mapped`, and what comes unsolicited to an outside port
 * goes where `inside` says.
 */

/** RFC 4787: endpoint-independent, address-dependent, address-and-port-dependent filtering. */
export type Filtering = 'eif' | 'adf' | 'apdf'
export type Translation = Filtering | 'sym' | 'seq'

export interface NatRules {
  readonly translation: Translation
  readonly external: string
  /** False: every inside endpoint gets a port of the router's choice. */
  readonly isPreserving: boolean
  readonly hasHairpin: boolean
  /** How many inside hosts there may be: plain Linux is endpoint-independent for one. */
  readonly hosts: number
  readonly isBlocked: boolean
  readonly lifetimeS: number
  readonly lossPercent: number
  readonly zone: number
}

/** A host's number in its LAN is its address modulo this: the number decides its block of ports. */
export const SLOTS = 4
/**
 * The router's own ports are below 32768, where Linux begins for those who ask for none. After so many
 * mappings a block starts again, and two sockets that share a port are no longer endpoint-independent.
 */
const PORTS_START = 10_000
const BLOCK_PORTS = 2_048
const SEQUENTIAL_PORTS = 4_096

export function natRules(rules: NatRules): string {
  return `table ip nat
delete table ip nat
table ip nat {
${maps(rules)}
  chain zone { type filter hook prerouting priority raw;
    ct zone set ${rules.zone}
  }
  chain zone_of_ours { type filter hook output priority raw;
    ct zone set ${rules.zone}
  }
  chain lose { type filter hook prerouting priority raw + 10;
    iifname { "wan", "lan" } meta l4proto udp numgen random mod 1000 < ${rules.lossPercent * 10} drop
  }
  chain inbound { type nat hook prerouting priority dstnat;
${indented(inbound(rules))}
  }
  chain translate {
${indented(translate(rules))}
  }
  chain outbound { type nat hook postrouting priority srcnat;
    oifname "wan" meta l4proto udp jump translate
    oifname "wan" masquerade
    iifname "lan" oifname "lan" ct status dnat meta l4proto udp jump translate
  }
  chain learn { type filter hook postrouting priority srcnat + 10;
    oifname "wan" meta l4proto udp jump remember
    oifname "lan" ct status snat ct status dnat meta l4proto udp jump remember
  }
  chain remember {
${indented(usesMaps(rules) ? REMEMBER : '')}
  }
  chain input { type filter hook input priority filter;
    ip daddr ${rules.external} ct state new drop
  }
  chain forward { type filter hook forward priority filter;
    ${rules.isBlocked ? 'meta l4proto udp drop' : ''}
    iifname "wan" ct status dnat accept
    iifname "wan" ct state { new, invalid } drop
  }
}
`
}

/**
 * Forgets every mapping, as a router that starts again: connections tracked in another zone are never
 * found. (Only the conntrack tool, which few machines have, could delete them.)
 */
export function forgetRules(zone: number): string {
  return `flush map ip nat mapped
flush map ip nat inside
flush set ip nat contacted
flush chain ip nat zone
flush chain ip nat zone_of_ours
add rule ip nat zone ct zone set ${zone}
add rule ip nat zone_of_ours ct zone set ${zone}
`
}

/**
 * Ports of the router's choice are counted (`numgen`), which alone makes no two sockets share one. The
 * counter is in the byte order of the machine and a port is not, so `port` translates.
 */
function maps(rules: NatRules): string {
  const { translation, lifetimeS } = rules
  const blocks = usesMaps(rules) ? rules.hosts - firstBlock(rules) : 0
  // An empty list of elements is no list.
  const ports = translation === 'seq' ? SEQUENTIAL_PORTS : Math.max(1, blocks * BLOCK_PORTS)
  const elements = [...Array(ports).keys()].map((n) => `${n} : ${PORTS_START + n}`)
  const held = `flags dynamic,timeout; timeout ${lifetimeS}s; size 65535;`
  return `  map port { typeof numgen inc mod 2 : udp sport; elements = { ${elements.join(', ')} } }
  map mapped { type ipv4_addr . inet_service : ipv4_addr . inet_service; ${held} }
  map inside { type inet_service : ipv4_addr . inet_service; ${held} }
  set contacted { type ipv4_addr . inet_service; ${held} }`
}

/** What comes unsolicited: the rest is connection tracking's, which knows what was answered. */
function inbound({ translation, hasHairpin, external }: NatRules): string {
  const toInside = 'dnat ip to udp dport map @inside'
  const fromWan = {
    eif: `iifname "wan" meta l4proto udp ${toInside}`,
    adf: `iifname "wan" ip saddr . udp dport @contacted ${toInside}`,
  }
  const allowed = translation === 'eif' || translation === 'adf' ? fromWan[translation] : ''
  const hairpin = hasHairpin ? `iifname "lan" ip daddr ${external} ${toInside}` : ''
  return `${allowed}\n${hairpin}`
}

function translate(rules: NatRules): string {
  const { translation, external } = rules
  if (translation === 'sym') return 'masquerade fully-random'
  if (translation === 'seq')
    return `meta l4proto udp snat ip to ${external}:numgen inc mod ${SEQUENTIAL_PORTS} map @port`
  if (!usesMaps(rules)) return 'masquerade'
  const slots = [...Array(rules.hosts).keys()].map((slot) => {
    const port = `:numgen inc mod ${BLOCK_PORTS} offset ${(slot - firstBlock(rules)) * BLOCK_PORTS} map @port`
    const to = slot < firstBlock(rules) ? external : `${external}${port}`
    return `ip saddr & 0.0.0.${SLOTS - 1} == 0.0.0.${slot} meta l4proto udp snat ip to ${to}`
  })
  return ['snat ip to ip saddr . udp sport map @mapped', ...slots].join('\n')
}

/**
 * The inside endpoint is the source of what it began and the destination of what it answers. A map's
 * element that is there keeps its value and is refreshed, as RFC 4787 REQ-6 wants it of outbound traffic.
 */
const REMEMBER = `meta l4proto udp ct direction original update @mapped { ct original ip saddr . ct original proto-src : ip saddr . udp sport }
meta l4proto udp ct direction reply update @mapped { ct reply ip saddr . ct reply proto-src : ip saddr . udp sport }
meta l4proto udp ct direction original update @inside { udp sport : ct original ip saddr . ct original proto-src }
meta l4proto udp ct direction reply update @inside { udp sport : ct reply ip saddr . ct reply proto-src }
update @contacted { ip daddr . udp sport }`

/** The first host that does not keep its ports. */
function firstBlock({ isPreserving }: NatRules): number {
  return isPreserving ? 1 : 0
}

function usesMaps({ translation, isPreserving, hasHairpin, hosts }: NatRules): boolean {
  if (translation === 'sym' || translation === 'seq') return false
  return !(translation === 'apdf' && isPreserving && hosts === 1 && !hasHairpin)
}

function indented(text: string): string {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => `    ${line}`)
    .join('\n')
}
