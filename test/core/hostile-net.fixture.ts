import assert from 'node:assert/strict'
import type { Command, LocalAddress, NatVector, PeerId } from '../../src/core/io.ts'
import { encodeNatMessage, type NatMessage } from '../../src/core/nat/messages.ts'
import { UNKNOWN_NAT } from '../../src/core/nat/vector.ts'
import { sodiumNative } from '../../src/crypto/sodium-native.ts'
import type { Host, HostOptions, NatOptions, SimPeer, TraceRecord } from '../../src/sim/index.ts'
import { World } from '../../src/sim/index.ts'
import { CLUSTER_ID } from './lab.fixture.ts'
import { Rogue } from './rogue.fixture.ts'

/**
 * Real peers and hostile ones on a simulated internet with NATs: for attacks that need what the bare
 * wire of `lab.fixture.ts` lacks, scratch sockets and translation. Everything that a peer sends is seen.
 */
export const APDF: NatOptions = { filtering: 'address-and-port-dependent' }
export const SYMMETRIC: NatOptions = {
  ...APDF,
  mapping: 'address-and-port-dependent',
  allocation: 'random',
}
export const CLAIMS_RANDOM: NatVector = {
  ...UNKNOWN_NAT,
  mapping: 'endpoint-dependent',
  filtering: 'address-and-port-dependent',
  allocation: 'random',
}
export const CLAIMS_FIXED: NatVector = {
  ...CLAIMS_RANDOM,
  mapping: 'endpoint-independent',
  allocation: 'preserving',
}

/** Time that a survey of four reflectors takes, with its retries. */
const SETTLE_MS = 3_000

export class HostileNet {
  readonly net: World
  readonly sent: TraceRecord[] = []

  constructor(seed: string) {
    this.net = new World({
      crypto: sodiumNative(),
      seed,
      defaultLink: { latencyMs: 5, lossRate: 0 },
    })
    this.net.trace.listen((record) => {
      if (record.direction === 'send') this.sent.push({ ...record, data: record.data.slice() })
    })
  }

  get nowMs(): number {
    return this.net.nowMs
  }

  run(durationMs: number): void {
    this.net.run(durationMs)
  }

  /** Honest public peers that all know the first. */
  addCrowd(count: number): SimPeer[] {
    return Array.from({ length: count }, () => this.addPeer())
  }

  /** An honest peer that is told of all public ones so far. */
  addPeer(nat?: NatOptions): SimPeer {
    return this.net.addPeer({ clusterId: CLUSTER_ID, bootstrap: 'all', ...(nat && { nat }) })
  }

  settle(): void {
    this.run(SETTLE_MS)
  }

  addRogue(options: HostOptions = {}): HostileHost {
    return new HostileHost(this.net, options)
  }

  /** What one host sent to another, told apart by its address, since the list was last emptied. */
  sentTo(host: string, from?: SimPeer): TraceRecord[] {
    return this.sent.filter((record) => {
      return record.remoteHost === host && (from === undefined || record.host === from.name)
    })
  }
}

/** A rogue on its host. */
export class HostileHost {
  readonly host: Host
  readonly rogue: Rogue

  constructor(net: World, options: HostOptions) {
    const host = net.addHost(options)
    this.host = host
    let made: Rogue | undefined
    host.start(({ random, now }) => {
      const crypto = sodiumNative()
      const identity = crypto.signingKeyPair(random.bytes(32))
      made = new Rogue({ crypto, random, identity }, undefined, now)
      return made
    })
    if (made === undefined) throw new Error('a host makes its core at once')
    this.rogue = made
  }

  get peerId(): PeerId {
    return this.rogue.peerId
  }

  act(action: (rogue: Rogue) => void): void {
    this.rogue.intents.push(() => action(this.rogue))
    this.host.command(POKE)
  }

  dial(peer: SimPeer | HostileHost): void {
    this.act((rogue) => rogue.dial({ kind: 'udp', socket: 0, ...peer.host.address }))
  }

  dialThrough(relay: SimPeer | HostileHost, peer: SimPeer): void {
    this.act((rogue) => rogue.dialThrough(relay.peerId, peer.peerId))
  }

  say(to: SimPeer, message: NatMessage): void {
    this.act((rogue) => rogue.tell(to.peerId, encodeNatMessage(message)))
  }

  claim(to: SimPeer, nat: NatVector, addresses: readonly LocalAddress[]): void {
    this.say(to, { type: 'candidates', nat, addresses })
  }

  aim(
    to: SimPeer,
    host: string,
    changes: Partial<Extract<NatMessage, { type: 'aim' }>> = {},
  ): void {
    const address = { host, port: 1_024 }
    this.say(to, {
      type: 'aim',
      round: 1,
      address,
      step: 1,
      count: 0,
      lastPort: 65_535,
      ...changes,
    })
  }
}

/** A rogue does what it intends at any command. */
const POKE: Command = { type: 'dial', peer: undefined, addresses: [] }

export function bytesOf(records: readonly TraceRecord[]): number {
  return records.reduce((sum, { data }) => sum + data.length, 0)
}

export function sessionBetween(peer: SimPeer, other: { readonly peerId: PeerId }) {
  return peer.snapshot().sessions.find(({ peer: remote }) => remote === other.peerId)
}

/** Four honest public peers, one of them the relay, and ours behind its NAT. */
export function scene(
  seed: string,
  nat: NatOptions,
): { readonly hostile: HostileNet; readonly us: SimPeer; readonly relay: SimPeer } {
  const hostile = new HostileNet(seed)
  const [relay] = hostile.addCrowd(4)
  const us = hostile.addPeer(nat)
  hostile.settle()
  assert.ok(relay !== undefined)
  return { hostile, us, relay }
}

/** The rogue's session with our peer goes through the relay, and stays there. */
export function meetRelayed(
  hostile: HostileNet,
  rogue: HostileHost,
  us: SimPeer,
  relay: SimPeer,
): void {
  rogue.dial(relay)
  hostile.run(100)
  rogue.dialThrough(relay, us)
  hostile.run(200)
  assert.equal(sessionBetween(us, rogue)?.path, 'relayed', 'the rogue is relayed to us')
}

export function addRelayed(
  hostile: HostileNet,
  us: SimPeer,
  relay: SimPeer,
  count: number,
): HostileHost[] {
  const rogues = Array.from({ length: count }, () => hostile.addRogue())
  for (const rogue of rogues) rogue.dial(relay)
  hostile.run(500)
  for (const rogue of rogues) rogue.dialThrough(relay, us)
  hostile.run(1_000)
  const met = rogues.filter((rogue) => sessionBetween(us, rogue)?.path === 'relayed')
  assert.equal(met.length, count, 'all are relayed to us')
  return rogues
}
