import type { Bootstrap } from '../core/config.ts'
import type { Crypto, KeyPair } from '../core/crypto.ts'
import { createPeer } from '../core/index.ts'
import type { Command, LocalAddress, PeerEvent, PeerId, Snapshot } from '../core/io.ts'
import { toHex } from '../core/wire/bytes.ts'
import type { CoreContext, Host } from './host.ts'
import { type HostOptions, Internet, type InternetOptions } from './internet.ts'

/** DESIGN §8. */
const CACHE_BYTES = 16 * 1024 * 1024

export interface WorldOptions extends InternetOptions {
  readonly crypto: Crypto
}

export interface PeerOptions extends HostOptions {
  /** 32 bytes that name the app. */
  readonly clusterId: Uint8Array
  /**
   * Whom to meet first. `all`: the address of every public peer added before. A peer is given with
   * its identity, a host or an address without.
   */
  readonly bootstrap?: 'all' | readonly (SimPeer | Host | LocalAddress)[]
  readonly lan?: boolean
  readonly relay?: boolean
  /** What it keeps for strangers. Default 16 MiB. */
  readonly cacheBytes?: number
  /** Made from the seed and the peer's name when not given. */
  readonly identity?: KeyPair
}

/** A simulated internet with Latica peers on it. */
export class World extends Internet {
  readonly #crypto: Crypto
  readonly #peers: SimPeer[] = []

  constructor(options: WorldOptions) {
    super(options)
    this.#crypto = options.crypto
  }

  get peers(): readonly SimPeer[] {
    return this.#peers
  }

  addPeer(options: PeerOptions): SimPeer {
    const host = this.addHost(options)
    const seed = this.random.fork(`identity ${host.name}`).bytes(32)
    const identity = options.identity ?? this.#crypto.signingKeyPair(seed)
    const bootstrap = this.#bootstrapOf(options.bootstrap ?? [])
    const peer = new SimPeer(host, toHex(identity.publicKey) as PeerId)
    this.#peers.push(peer)
    const makeCore = ({ random, now, wall }: CoreContext) =>
      createPeer(
        {
          crypto: this.#crypto,
          random,
          identity,
          clusterId: options.clusterId,
          bootstrap,
          lan: options.lan ?? false,
          relay: options.relay ?? true,
          cacheBytes: options.cacheBytes ?? CACHE_BYTES,
        },
        now,
        wall,
      )
    host.start(makeCore, { onEvent: (event) => peer.tell(event) })
    return peer
  }

  #bootstrapOf(from: Exclude<PeerOptions['bootstrap'], undefined>): Bootstrap[] {
    if (from === 'all') {
      return this.#peers
        .filter(({ host }) => host.isPublic)
        .map(({ host }) => ({ peer: undefined, addresses: addressesOf(host) }))
    }
    return from.map((one) => {
      if (one instanceof SimPeer) return { peer: one.peerId, addresses: addressesOf(one.host) }
      if ('host' in one) return { peer: undefined, addresses: [one] }
      return { peer: undefined, addresses: addressesOf(one) }
    })
  }
}

/** One Latica peer on its host. */
export class SimPeer {
  readonly host: Host
  readonly peerId: PeerId
  /** Every event so far, over all its runs. */
  readonly events: PeerEvent[] = []
  readonly #listeners: ((event: PeerEvent) => void)[] = []

  constructor(host: Host, peerId: PeerId) {
    this.host = host
    this.peerId = peerId
  }

  get name(): string {
    return this.host.name
  }

  command(command: Command): void {
    this.host.command(command)
  }

  snapshot(): Snapshot {
    return this.host.snapshot()
  }

  /** Hears every event from here on. What it throws fails the run. */
  onEvent(listener: (event: PeerEvent) => void): void {
    this.#listeners.push(listener)
  }

  /** The events of one type so far. */
  seen<T extends PeerEvent['type']>(type: T): Extract<PeerEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<PeerEvent, { type: T }> => {
      return event.type === type
    })
  }

  /** The host tells it. */
  tell(event: PeerEvent): void {
    this.events.push(event)
    for (const listener of this.#listeners) listener(event)
  }
}

function addressesOf(host: Host): LocalAddress[] {
  const { address, ipv6Address } = host
  return ipv6Address === undefined ? [address] : [address, ipv6Address]
}
