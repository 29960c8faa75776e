import type { Delivery, PeerId } from '../../src/core/io.ts'
import { sodiumNative } from '../../src/crypto/sodium-native.ts'
import { type PeerOptions, type SimPeer, World, type WorldOptions } from '../../src/sim/index.ts'

/** Peers of one subcluster on a simulated internet: what the scenarios of this folder have in common. */
export const CLUSTER_ID = new Uint8Array(32).fill(7)
export const SHARED_KEY = new Uint8Array(32).fill(9)
export const SUBCLUSTER = 1

export function world(options: Omit<WorldOptions, 'crypto'>): World {
  return new World({ crypto: sodiumNative(), ...options })
}

export function addMember(
  world: World,
  options: Omit<PeerOptions, 'clusterId'>,
  sharedKey: Uint8Array = SHARED_KEY,
): SimPeer {
  const peer = world.addPeer({ clusterId: CLUSTER_ID, ...options })
  join(peer, sharedKey)
  return peer
}

/** Also for who was a member before it started again. */
export function join(peer: SimPeer, sharedKey: Uint8Array = SHARED_KEY): void {
  peer.command({ type: 'join', subcluster: SUBCLUSTER, sharedKey, order: 'causal' })
}

/** Members whom everyone knows only by the first one's address. */
export function addMembers(world: World, count: number): SimPeer[] {
  const members: SimPeer[] = []
  for (let i = 0; i < count; i++) {
    const bootstrap = members.slice(0, 1).map(({ host }) => host)
    members.push(addMember(world, { bootstrap }))
  }
  return members
}

/** The members that a peer sees present. */
export function membersSeenBy(peer: SimPeer): Set<PeerId> {
  const present = new Set<PeerId>()
  for (const event of peer.seen('member')) {
    if (event.change.state === 'joined') present.add(event.peer)
    else present.delete(event.peer)
  }
  return present
}

/** The virtual ms until every member sees every other; throws when `limitMs` pass first. */
export function untilMet(world: World, members: readonly SimPeer[], limitMs: number): number {
  const isMet = () => members.every((peer) => membersSeenBy(peer).size === members.length - 1)
  return world.runUntil(isMet, limitMs)
}

export function publish(
  peer: SimPeer,
  operation: number,
  text: string,
  delivery: Delivery = 'durable',
): void {
  peer.command({
    type: 'publish',
    operation,
    subcluster: SUBCLUSTER,
    event: 'news',
    value: bytesOf(text),
    delivery,
    lifeMs: 3_600_000,
  })
}

export function send(
  peer: SimPeer,
  operation: number,
  to: SimPeer,
  event: string,
  value: Uint8Array,
): void {
  const { peerId } = to
  peer.command({ type: 'send', operation, subcluster: SUBCLUSTER, peer: peerId, event, value })
}

export function isDone(peer: SimPeer, operation: number): boolean {
  return peer.seen('done').some((event) => event.operation === operation)
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** What a peer read: of packets, or of messages to it alone. */
export function textsOf(peer: SimPeer, type: 'packet' | 'message'): string[] {
  return peer.seen(type).map(({ value }) => textOf(value))
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
