import { isIP } from 'node:net'
import type { PeerAddress } from '../api/ticket.ts'
import type { Connection, Socket, SocketInfo } from '../api/types.ts'
import type { LocalAddress } from '../core/io.ts'
import { classifyHost } from '../core/wire/address.ts'
import { addressText } from './nat-words.ts'
import { short } from './printer.ts'

/** What can be seen of a running peer at one moment: all that a diagnosis is made from. */
export interface Picture {
  /** How long the peer had been running. */
  readonly seconds: number
  readonly info: Pick<SocketInfo, 'state' | 'observed' | 'local' | 'nat' | 'relays'>
  readonly peers: readonly Connection[]
  readonly asked: readonly AskedPeer[]
  /** Requests for a first answer that were sent. */
  readonly requests: number
  /** Datagrams of another version of the protocol: somebody is there. */
  readonly otherVersions: number
  readonly isLanOn: boolean
  readonly isPortMappingOn: boolean
  /** The one local address that the user allowed. */
  readonly onlyHost: string | undefined
  /** What the machine refused meanwhile. */
  readonly faults: readonly string[]
}

/** Somebody who was called at the start. */
export interface AskedPeer {
  /** As a person can check it. */
  readonly name: string
  /** Known when a ticket or the memory names it. */
  readonly peer: string | undefined
  /** IP literals, or DNS names while they lead nowhere. */
  readonly addresses: readonly LocalAddress[]
  readonly origin: 'given' | 'remembered'
}

export function askedPeer(address: PeerAddress, origin: AskedPeer['origin']): AskedPeer {
  const { peer, addresses } = address
  const [first] = addresses
  const at = first === undefined ? 'no known address' : addressText(first)
  const name = peer === undefined ? at : `${short(peer)} at ${at}`
  return { name, peer, addresses, origin }
}

/** Whether it is called across the internet rather than on this network. */
export function isOutside({ addresses }: AskedPeer): boolean {
  return addresses.some(isInternet)
}

export function isUnresolved({ addresses }: AskedPeer): boolean {
  return addresses.length > 0 && addresses.every(({ host }) => isIP(host) === 0)
}

type Surroundings = Omit<Picture, 'info' | 'peers' | 'requests' | 'otherVersions'>

export function pictureOf(socket: Socket, surroundings: Surroundings): Picture {
  const { state, observed, local, nat, relays } = socket.info()
  const counters = socket.stats()
  return {
    ...surroundings,
    info: { state, observed, local, nat, relays },
    // Copies: connections show each moment, a picture one.
    peers: [...socket.peers.values()].map((peer) => ({ ...peer })),
    requests: counters['handshakesOut'] ?? 0,
    otherVersions: counters['rejected.version'] ?? 0,
  }
}

/** From this on the time given is used to its end: the shortest silence measured is half a minute. */
export const LIFETIME_S = 45
/** Guess, unmeasured: what asking a home router for a port takes, and what a hairpin that fails does. */
const EXTRAS_S = 3

/** Addresses that others than this machine itself can use. */
export function outward(picture: Picture, family: 4 | 6): readonly LocalAddress[] {
  return picture.info.local.filter(({ host }) => {
    const kind = classifyHost(host)
    return isIP(host) === family && kind !== 'loopback' && kind !== 'link-local'
  })
}

/**
 * Those called that certainly are not among the peers met. Who was given by address alone may be any
 * of those met.
 */
export function silentPeers({ asked, peers }: Picture): readonly AskedPeer[] {
  const met = new Set(peers.map(({ peerId }) => peerId))
  return asked.filter(
    (each) =>
      !isUnresolved(each) && (each.peer === undefined ? met.size === 0 : !met.has(each.peer)),
  )
}

export function silentOutside(picture: Picture): readonly AskedPeer[] {
  return silentPeers(picture).filter(isOutside)
}

/** How many different machines, as far as addresses tell: one that is off explains only itself. */
export function silencePlaces(silent: readonly AskedPeer[]): number {
  const hosts = silent.map(({ addresses }) => addresses.find(isInternet)?.host)
  return new Set(hosts).size
}

function isInternet({ host }: LocalAddress): boolean {
  return isIP(host) === 0 || classifyHost(host) === 'global'
}

/** Whether waiting longer, up to `limitS`, adds nothing but what is still under way. */
export function isWhole(picture: Picture, limitS: number): boolean {
  const { info, peers, seconds, asked, isLanOn, isPortMappingOn } = picture
  if (peers.length === 0) return asked.length === 0 && !isLanOn
  const { nat } = info
  if (limitS >= LIFETIME_S || nat.mapping === 'unknown' || nat.filtering === 'unknown') return false
  if (nat.isTranslated === false || seconds >= EXTRAS_S) return true
  const isHairpinDone = nat.hairpin !== undefined || nat.mapping === 'endpoint-dependent'
  return isHairpinDone && (nat.portMapping !== undefined || !isPortMappingOn)
}
