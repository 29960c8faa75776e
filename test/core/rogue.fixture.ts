import type { Crypto, KeyPair, Random } from '../../src/core/crypto.ts'
import type {
  Core,
  Deadline,
  Endpoint,
  Input,
  Instant,
  Output,
  PeerId,
  Snapshot,
} from '../../src/core/io.ts'
import { UNKNOWN_NAT } from '../../src/core/nat/vector.ts'
import { routeThrough } from '../../src/core/overlay/relay.ts'
import { Identity, publicKeyOf } from '../../src/core/session/identity.ts'
import { prefixOf } from '../../src/core/session/route.ts'
import type { Session, SessionEvent } from '../../src/core/session/session.ts'
import { Sessions } from '../../src/core/session/sessions.ts'
import { fromHex } from '../../src/core/wire/bytes.ts'
import type { SessionFrame } from '../../src/core/wire/frames.ts'
import { isStun } from '../../src/core/wire/stun.ts'

/**
 * A hostile peer: it makes true sessions, and sends any message and any frame in them. It dials,
 * answers and relays nothing of its own accord.
 */
export class Rogue implements Core {
  readonly peerId: PeerId
  readonly sessions: Sessions
  readonly messages: { readonly from: PeerId; readonly payload: Uint8Array }[] = []
  readonly frames: { readonly from: PeerId; readonly frame: SessionFrame }[] = []
  /** What it does with a datagram that was relayed to it; otherwise a session may take it. */
  onRelayed: ((from: PeerId, datagram: Uint8Array) => void) | undefined
  /** What it answers to a message. */
  onMessage: ((from: PeerId, payload: Uint8Array) => void) | undefined
  /** What it answers to plain STUN. */
  onStun: ((data: Uint8Array, from: Endpoint) => Uint8Array | undefined) | undefined
  /** Whose datagrams it takes; it may feign that others were lost. */
  hears: (from: Endpoint) => boolean = () => true
  /** What it does at the next input that is a command. */
  readonly intents: (() => void)[] = []
  readonly #outputs: Output[] = []
  #now: Instant

  constructor(
    made: { crypto: Crypto; random: Random; identity: KeyPair },
    claims: PeerId | undefined,
    now: Instant,
  ) {
    const { crypto, random } = made
    const identity =
      claims === undefined
        ? new Identity(crypto, made.identity)
        : new Impostor(crypto, made.identity, claims)
    this.peerId = identity.peerId
    this.#now = now
    const host = {
      transmit: (to: Endpoint, data: Uint8Array) => this.transmit(to, data),
      reject: () => undefined,
      opened: () => undefined,
      closed: () => undefined,
      event: (session: Session, event: SessionEvent) => this.#onEvent(session, event),
      gaveUp: () => undefined,
      identified: () => undefined,
    }
    this.sessions = new Sessions({ crypto, random, identity, host }, now)
  }

  /** Does something at once; what it sends is polled as usual. */
  act(action: () => void, now: Instant): void {
    this.#now = now
    action()
    this.sessions.settle(now)
  }

  /** The datagrams that an action would send: for sending them from elsewhere. */
  capture(action: () => void, now: Instant): Uint8Array[] {
    const before = this.#outputs.length
    this.act(action, now)
    const captured = this.#outputs.splice(before)
    return captured.flatMap((output) => (output.type === 'transmit' ? [output.data] : []))
  }

  transmit(to: Endpoint, data: Uint8Array): void {
    this.#outputs.push({ type: 'transmit', to, data })
  }

  dial(endpoint: Endpoint, peer?: PeerId): void {
    this.sessions.dial(peer, [{ kind: 'udp', endpoint }], this.#now)
  }

  dialThrough(via: PeerId, peer: PeerId): void {
    this.sessions.dial(peer, [{ kind: 'relay', via, prefix: prefixOf(peer) }], this.#now)
  }

  tell(peer: PeerId, payload: Uint8Array): void {
    this.sessions.with(peer)?.sendMessage(payload)
  }

  push(peer: PeerId, frame: SessionFrame): boolean {
    return this.sessions.with(peer)?.relay(frame) ?? false
  }

  relay(via: PeerId, to: PeerId, datagram: Uint8Array): boolean {
    return this.push(via, { type: 'relay', prefix: prefixBytes(to), datagram })
  }

  handle(input: Input, now: Instant): void {
    this.#now = now
    if (input.type === 'datagram') {
      if (!this.hears(input.from)) return
      const answer = isStun(input.data) ? this.onStun?.(input.data, input.from) : undefined
      if (answer !== undefined) this.transmit(input.from, answer)
      this.sessions.receive(input.data, { kind: 'udp', endpoint: input.from }, now)
    } else if (input.type === 'deadline') this.sessions.onDeadline(now)
    else if (input.type === 'command') for (const intent of this.intents.splice(0)) intent()
    this.sessions.settle(now)
  }

  poll(): Output | undefined {
    return this.#outputs.shift()
  }

  deadline(): Deadline | undefined {
    return this.sessions.deadline()
  }

  snapshot(): Snapshot {
    const { peerId } = this
    const nothing = { observed: [], local: [], sessions: [], counters: {} }
    return { peerId, state: 'online', nat: UNKNOWN_NAT, ...nothing }
  }

  #onEvent(session: Session, event: SessionEvent): void {
    const from = session.peer
    if (event.type === 'transport' && event.event.type === 'message') {
      const payload = event.event.payload.slice()
      this.messages.push({ from, payload })
      this.onMessage?.(from, payload)
    }
    if (event.type !== 'relay') return
    const { frame } = event
    this.frames.push({ from, frame: structuredClone(frame) })
    if (frame.type !== 'relayed') return
    if (this.onRelayed !== undefined) return this.onRelayed(from, frame.datagram.slice())
    const route = routeThrough(session, frame)
    if (route !== undefined) this.sessions.receive(frame.datagram, route, this.#now)
  }
}

/** Says that it is somebody whose keys it does not have. */
class Impostor extends Identity {
  override readonly peerId: PeerId
  override readonly publicKey: Uint8Array

  constructor(crypto: Crypto, keys: KeyPair, claims: PeerId) {
    super(crypto, keys)
    this.peerId = claims
    this.publicKey = publicKeyOf(claims)
  }
}

export function prefixBytes(peer: PeerId): Uint8Array {
  return fromHex(prefixOf(peer)) ?? new Uint8Array(8)
}
