import type { Crypto, Random } from '../crypto.ts'
import { earlier } from '../deadlines.ts'
import { MALFORMED } from '../errors.ts'
import type { Deadline, Instant, PeerId, RejectCode } from '../io.ts'
import type { Address } from '../wire/address.ts'
import { ascii, concat, toHex } from '../wire/bytes.ts'
import {
  CID_BYTES,
  cidBytes,
  cidFrom,
  decodeHandshake,
  encodeCookie,
  encodeFinishXx,
  encodeRespondIk as frameRespondIk,
  encodeRespondXx as frameRespondXx,
  type HandshakeDatagram,
  PROTOCOL_VERSION,
} from '../wire/datagram.ts'
import { HandshakeAdmission } from './admission.ts'
import { Answers } from './answers.ts'
import { type Attempt, Attempts } from './attempts.ts'
import { mac1 } from './cookie.ts'
import {
  decodeInitiatorHello,
  decodeRespondIk,
  decodeRespondXx,
  encodeInitiatorHello,
  encodeRespondIk,
  encodeRespondXx,
  type InitiatorHello,
  RUN_BYTES,
  TRANSPORT_ID_BYTES,
} from './handshake-payload.ts'
import type { Identity } from './identity.ts'
import { publicKeyOf } from './identity.ts'
import { NoiseHandshake } from './noise.ts'
import { type Route, routeKey } from './route.ts'
import { SealedKeys } from './sealing.ts'

/**
 * Makes keys with remotes: IK towards a peer whose id is known, XX towards an address. It decides
 * who answers whom, what is sent again and when an attempt ends; what the keys are then used for is
 * the session's business. Nothing here changes a session: a result is reported once both sides have
 * proved their keys, so replayed and forged first messages leave only a bounded, expiring note.
 */
export interface Established {
  readonly peer: PeerId
  readonly isInitiator: boolean
  readonly keys: SealedKeys
  /** 32 bytes, the same at both sides. */
  readonly binding: Uint8Array
  readonly localCid: number
  readonly remoteCid: number
  readonly remoteRun: string
  /** Both sides hold the transport of an earlier handshake: only the keys are fresh. */
  readonly isResumed: boolean
  readonly route: Route
  /** Where the remote saw us, if it saw an address. */
  readonly observed: Address | undefined
  /** XX: the third message, repeated until the remote answers under the new keys. */
  readonly finish: Uint8Array | undefined
}

export interface HandshakeHost {
  send(route: Route, datagram: Uint8Array): void
  reject(code: RejectCode, route: Route): void
  /** The 8-byte id of the transport that we hold for a peer. */
  transportIdOf(peer: PeerId): Uint8Array | undefined
  /** The run of the remote's program that the session we have is with; undefined without session. */
  sessionRunOf(peer: PeerId): string | undefined
  /** The highest packet number received in the session we have; −1 for none. */
  highestReceivedFrom(peer: PeerId): number
  isCidTaken(cid: number): boolean
  established(result: Established, now: Instant): void
  /** An address led to a peer that we have a session with. */
  metAgain(peer: PeerId, route: Route, now: Instant): void
  /** No answer on any route. */
  gaveUp(peer: PeerId | undefined, routes: readonly Route[], now: Instant): void
}

const NO_TRANSPORT = new Uint8Array(TRANSPORT_ID_BYTES)
const PROLOGUE = ascii('latica')

export class Handshakes {
  readonly #crypto: Crypto
  readonly #random: Random
  readonly #identity: Identity
  readonly #run: Uint8Array
  readonly #host: HandshakeHost
  readonly #admission: HandshakeAdmission
  readonly #attempts: Attempts
  readonly #answers = new Answers()

  constructor(
    options: { crypto: Crypto; random: Random; identity: Identity; host: HandshakeHost },
    now: Instant,
  ) {
    this.#crypto = options.crypto
    this.#random = options.random
    this.#identity = options.identity
    this.#host = options.host
    this.#run = options.random.bytes(RUN_BYTES)
    this.#admission = new HandshakeAdmission(options.crypto, options.random, now)
    this.#attempts = new Attempts(options.crypto, options.random, options.host)
  }

  get answerCount(): number {
    return this.#answers.count
  }

  get attemptCount(): number {
    return this.#attempts.count
  }

  isDialing(peer: PeerId): boolean {
    return this.#attempts.with(peer) !== undefined
  }

  /** Starts an attempt, or gives more routes to the one under way. */
  dial(peer: PeerId | undefined, routes: readonly Route[], now: Instant): void {
    const first = routes[0]
    if (first === undefined || peer === this.#identity.peerId) return
    const key = peer ?? routeKey(first)
    if (this.#attempts.extend(key, routes)) return
    const remotePublic = peer && this.#crypto.agreementPublicKey(publicKeyOf(peer))
    if (peer !== undefined && remotePublic === undefined) return
    const cid = this.#freshCid()
    const noise = new NoiseHandshake({
      crypto: this.#crypto,
      pattern: peer === undefined ? 'XX' : 'IK',
      role: 'initiator',
      prologue: prologue(cid),
      staticKeys: this.#identity.agreement,
      ephemeral: this.#crypto.agreementKeyPair(this.#random.bytes(32)),
      ...(remotePublic && { remoteStatic: remotePublic }),
    })
    const transport = peer && (this.#host.transportIdOf(peer) ?? NO_TRANSPORT)
    const payload =
      transport === undefined
        ? new Uint8Array(0)
        : encodeInitiatorHello(this.#identity.publicKey, this.#run, transport)
    const message = noise.write(payload)
    this.#attempts.begin({ key, peer, remotePublic, noise, message, cid }, routes, now)
  }

  /** A datagram from outside any session, or a sealed one for a connection id we gave in an answer. */
  receive(data: Uint8Array, route: Route, now: Instant): void {
    const datagram = decodeHandshake(data)
    if (datagram === MALFORMED) return this.#host.reject('malformed', route)
    switch (datagram.type) {
      case 'version':
        return this.#host.reject('version', route)
      case 'initiateIk':
        return this.#onInitiateIk(datagram, route, now)
      case 'initiateXx':
        return this.#onInitiateXx(datagram, route, now)
      case 'respondIk':
        return this.#onRespond(datagram.destination, datagram.noise, 'ik', route, now)
      case 'respondXx':
        return this.#onRespond(datagram.destination, datagram.noise, 'xx', route, now)
      case 'finishXx':
        return this.#onFinishXx(datagram.destination, datagram.noise, route, now)
      case 'cookie':
        return this.#onCookie(datagram, route)
      case 'beacon':
        return this.#host.reject('unknown', route)
    }
  }

  /**
   * A sealed datagram for `cid`, which no session owns. When it proves that the initiator has our
   * answer, the result is reported and true returned: the datagram is then the session's.
   */
  confirm(cid: number, data: Uint8Array, now: Instant): boolean {
    const answer = this.#answers.withCid(cid)
    const result = answer?.result
    if (answer === undefined || result === undefined) return false
    const highest = result.isResumed ? this.#host.highestReceivedFrom(result.peer) : -1
    if (result.keys.open(data, highest) === undefined) return false
    this.#answers.remove(answer)
    this.#settle(result, now)
    return true
  }

  deadline(): Deadline | undefined {
    return earlier(this.#attempts.deadline(), this.#answers.deadline())
  }

  onDeadline(now: Instant): void {
    this.#answers.onDeadline(now)
    this.#attempts.onDeadline(now)
  }

  #onInitiateIk(
    datagram: Extract<HandshakeDatagram, { type: 'initiateIk' }>,
    route: Route,
    now: Instant,
  ): void {
    const ephemeral = this.#answerAgain(datagram.noise, route)
    if (ephemeral === undefined) return
    const expected = mac1(this.#crypto, this.#identity.agreement.publicKey, datagram.covered)
    if (!this.#crypto.equal(expected, datagram.mac)) return this.#host.reject('unauthentic', route)
    if (!this.#isAdmitted(datagram, route, now)) return
    const noise = this.#responder('IK', datagram.source)
    const payload = noise.read(datagram.noise)
    if (payload === undefined) return this.#host.reject('unauthentic', route)
    const hello = decodeInitiatorHello(payload)
    if (!this.#isGenuine(hello, noise)) return this.#host.reject('unauthentic', route)
    const own = this.#attempts.with(hello.peer)
    if (own !== undefined && this.#identity.peerId < hello.peer) {
      // Simultaneous open: the lower id initiates. Their route is known to carry, so use it too.
      return this.#attempts.addRoute(own, route)
    }
    const held = this.#host.transportIdOf(hello.peer)
    const isResumed = held !== undefined && this.#crypto.equal(held, hello.transport)
    const cid = this.#freshCid()
    const answer = noise.write(encodeRespondIk(cid, this.#run, isResumed, route))
    const result = this.#result(noise, {
      peer: hello.peer,
      isInitiator: false,
      localCid: cid,
      remoteCid: datagram.source,
      remoteRun: hello.run,
      isResumed,
      route,
      observed: undefined,
      finish: undefined,
    })
    const response = frameRespondIk(datagram.source, answer)
    this.#answers.add(
      { ephemeral, cid, response, remoteCid: datagram.source, noise: undefined, result },
      now,
    )
    this.#host.send(route, response)
  }

  #onInitiateXx(
    datagram: Extract<HandshakeDatagram, { type: 'initiateXx' }>,
    route: Route,
    now: Instant,
  ): void {
    const ephemeral = this.#answerAgain(datagram.noise, route)
    if (ephemeral === undefined || !this.#isAdmitted(datagram, route, now)) return
    const noise = this.#responder('XX', datagram.source)
    if (noise.read(datagram.noise) === undefined) return this.#host.reject('unauthentic', route)
    const cid = this.#freshCid()
    const answer = noise.write(encodeRespondXx(cid, this.#identity.publicKey, this.#run, route))
    const response = frameRespondXx(datagram.source, answer)
    this.#answers.add(
      { ephemeral, cid, response, remoteCid: datagram.source, noise, result: undefined },
      now,
    )
    this.#host.send(route, response)
  }

  #onRespond(
    destination: number,
    message: Uint8Array,
    pattern: 'ik' | 'xx',
    route: Route,
    now: Instant,
  ): void {
    const attempt = this.#attempts.withCid(destination)
    if (attempt === undefined || (pattern === 'ik') !== (attempt.peer !== undefined)) {
      return this.#host.reject('unknown', route)
    }
    const payload = attempt.noise.read(message)
    if (payload === undefined) return this.#host.reject('unauthentic', route)
    if (pattern === 'ik') this.#completeIk(attempt, payload, route, now)
    else this.#completeXx(attempt, payload, route, now)
  }

  #completeIk(attempt: Attempt, payload: Uint8Array, route: Route, now: Instant): void {
    const hello = decodeRespondIk(payload)
    this.#attempts.end(attempt)
    const peer = attempt.peer
    if (peer === undefined) return
    const result = this.#result(attempt.noise, {
      peer,
      isInitiator: true,
      localCid: attempt.cid,
      remoteCid: hello.source,
      remoteRun: hello.run,
      isResumed: hello.isResumed,
      route,
      observed: hello.observed,
      finish: undefined,
    })
    this.#settle(result, now)
  }

  #completeXx(attempt: Attempt, payload: Uint8Array, route: Route, now: Instant): void {
    const hello = decodeRespondXx(payload)
    this.#attempts.end(attempt)
    const publicKey = hello.publicKey ?? new Uint8Array(32)
    const peer = toHex(publicKey) as PeerId
    if (!this.#isGenuine({ publicKey, peer }, attempt.noise)) {
      return this.#host.reject('unauthentic', route)
    }
    if (this.#host.sessionRunOf(peer) === hello.run) return this.#host.metAgain(peer, route, now)
    const third = attempt.noise.write(encodeInitiatorHello(this.#identity.publicKey, this.#run))
    const finish = encodeFinishXx(hello.source, third)
    this.#host.send(route, finish)
    const result = this.#result(attempt.noise, {
      peer,
      isInitiator: true,
      localCid: attempt.cid,
      remoteCid: hello.source,
      remoteRun: hello.run,
      isResumed: false,
      route,
      observed: hello.observed,
      finish,
    })
    this.#settle(result, now)
  }

  #onFinishXx(destination: number, message: Uint8Array, route: Route, now: Instant): void {
    const answer = this.#answers.withCid(destination)
    const noise = answer?.noise
    if (answer === undefined || noise === undefined) return this.#host.reject('unknown', route)
    const payload = noise.read(message)
    if (payload === undefined) return this.#host.reject('unauthentic', route)
    const hello = decodeInitiatorHello(payload)
    this.#answers.remove(answer)
    if (!this.#isGenuine(hello, noise)) return this.#host.reject('unauthentic', route)
    const result = this.#result(noise, {
      peer: hello.peer,
      isInitiator: false,
      localCid: answer.cid,
      remoteCid: answer.remoteCid,
      remoteRun: hello.run,
      isResumed: false,
      route,
      observed: undefined,
      finish: undefined,
    })
    this.#settle(result, now)
  }

  #onCookie(datagram: Extract<HandshakeDatagram, { type: 'cookie' }>, route: Route): void {
    const attempt = this.#attempts.withCid(datagram.destination)
    const prefix = attempt?.message.subarray(0, 8)
    if (attempt === undefined || prefix === undefined) return this.#host.reject('unknown', route)
    if (!this.#crypto.equal(prefix, datagram.ephemeralPrefix)) {
      return this.#host.reject('unauthentic', route)
    }
    this.#attempts.prove(attempt, route, datagram.cookie)
  }

  /** Undefined when the first message was seen: a repeat draws its answer again, a replay nothing. */
  #answerAgain(noise: Uint8Array, route: Route): string | undefined {
    const ephemeral = toHex(noise.subarray(0, 32))
    const answer = this.#answers.to(ephemeral)
    if (answer !== undefined) {
      this.#host.send(route, answer.response)
      return undefined
    }
    if (!this.#answers.wasAnswered(ephemeral)) return ephemeral
    this.#host.reject('replayed', route)
    return undefined
  }

  #isAdmitted(
    datagram: { readonly source: number; readonly noise: Uint8Array; readonly cookie: Uint8Array },
    route: Route,
    now: Instant,
  ): boolean {
    const ephemeral = datagram.noise.subarray(0, 32)
    const admission = this.#admission.judge(route, ephemeral, datagram.cookie, now)
    if (admission.verdict === 'admit') return true
    if (admission.verdict === 'prove') {
      this.#host.send(route, encodeCookie(datagram.source, ephemeral, admission.cookie))
    }
    this.#host.reject('rate-limited', route)
    return false
  }

  /** The id inside the handshake is the one whose key made it, and it is not ours. */
  #isGenuine(hello: Pick<InitiatorHello, 'publicKey' | 'peer'>, noise: NoiseHandshake): boolean {
    const agreement = this.#crypto.agreementPublicKey(hello.publicKey)
    const proved = noise.remoteStatic
    if (agreement === undefined || proved === undefined) return false
    return this.#crypto.equal(agreement, proved) && hello.peer !== this.#identity.peerId
  }

  #responder(pattern: 'IK' | 'XX', source: number): NoiseHandshake {
    return new NoiseHandshake({
      crypto: this.#crypto,
      pattern,
      role: 'responder',
      prologue: prologue(source),
      staticKeys: this.#identity.agreement,
      ephemeral: this.#crypto.agreementKeyPair(this.#random.bytes(32)),
    })
  }

  #result(noise: NoiseHandshake, facts: Omit<Established, 'keys' | 'binding'>): Established {
    const { sendKey, receiveKey, hash } = noise.split()
    const keys = new SealedKeys(this.#crypto, sendKey, receiveKey)
    return { ...facts, keys, binding: this.#crypto.hash(32, [ascii('latica binding'), hash]) }
  }

  #settle(result: Established, now: Instant): void {
    const own = this.#attempts.with(result.peer)
    if (own !== undefined) this.#attempts.end(own)
    this.#host.established(result, now)
  }

  #freshCid(): number {
    for (;;) {
      const cid = cidFrom(this.#random.bytes(CID_BYTES))
      const isTaken =
        this.#attempts.withCid(cid) !== undefined ||
        this.#answers.withCid(cid) !== undefined ||
        this.#host.isCidTaken(cid)
      if (!isTaken) return cid
    }
  }
}

function prologue(source: number): Uint8Array {
  return concat(PROLOGUE, Uint8Array.of(PROTOCOL_VERSION), cidBytes(source))
}
