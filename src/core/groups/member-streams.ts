import { MALFORMED } from '../errors.ts'
import type { FailureCode, Handle, PeerEvent, RejectCode } from '../io.ts'
import { concat } from '../wire/bytes.ts'
import type { MemberSession } from './member-session.ts'
import { decodeStreamHeader, encodeStreamHeader, type LinkPair } from './member-wire.ts'
import type { Membership } from './membership.ts'

/**
 * Streams between members: names each by its first bytes and maps the application's handles to the
 * session's streams. Flow control and reliability are the session's.
 */

/** Streams of one session whose name has not arrived yet. Guess: more than arrive in one flight. */
export const NAMELESS_STREAMS_MAX = 128
const RESET_REFUSED = 1
const RESET_ABORTED = 2
const NOTHING = new Uint8Array(0)

interface MemberStream {
  readonly handle: Handle
  readonly membership: Membership
  readonly stream: number
  hasFinished: boolean
  hasEnded: boolean
  /** Given to the application and not yet taken by it. */
  unconsumedBytes: number
}

interface NamelessStream {
  /** What came so far: the beginning of the name. */
  start: Uint8Array
  /** The session said that it takes so much before anybody could use it. */
  writableBytes: number
}

interface SessionStreams {
  readonly named: Map<number, MemberStream>
  readonly nameless: Map<number, NamelessStream>
}

export interface MemberStreamsConfig {
  readonly emit: (event: PeerEvent) => void
  readonly reject: (code: RejectCode) => void
  /** The membership that a pair of links names. */
  readonly resolve: (session: MemberSession, pair: LinkPair) => Membership | undefined
}

export class MemberStreams {
  readonly #config: MemberStreamsConfig
  readonly #byHandle = new Map<Handle, MemberStream>()
  readonly #sessions = new Map<MemberSession, SessionStreams>()
  /** Callers number theirs evenly. */
  #nextHandle = 1

  constructor(config: MemberStreamsConfig) {
    this.#config = config
  }

  open(handle: Handle, name: string, membership: Membership | undefined): void {
    if (membership === undefined) return this.#broken(handle, 'EPEERGONE')
    const { port } = membership.session
    const stream = port.openStream()
    this.#name(handle, membership, stream)
    port.writeStream(stream, encodeStreamHeader(membership.pair, name))
  }

  /** A stream that is gone takes no more: its `broken` event is on its way to the caller. */
  write(handle: Handle, data: Uint8Array): void {
    const open = this.#byHandle.get(handle)
    if (open !== undefined && !open.hasFinished)
      open.membership.session.port.writeStream(open.stream, data)
  }

  finish(handle: Handle): void {
    const open = this.#byHandle.get(handle)
    if (open === undefined || open.hasFinished) return
    open.hasFinished = true
    open.membership.session.port.finishStream(open.stream)
    this.#forgetIfOver(open)
  }

  reset(handle: Handle): void {
    const open = this.#byHandle.get(handle)
    if (open === undefined) return
    this.#forget(open)
    open.membership.session.port.resetStream(open.stream, RESET_ABORTED)
  }

  consume(handle: Handle, bytes: number): void {
    const open = this.#byHandle.get(handle)
    if (open === undefined) return
    open.unconsumedBytes -= bytes
    open.membership.session.port.consumeStream(open.stream, bytes)
    this.#forgetIfOver(open)
  }

  onOpened(session: MemberSession, stream: number): void {
    const { nameless } = this.#streamsOf(session)
    if (nameless.size < NAMELESS_STREAMS_MAX) {
      nameless.set(stream, { start: NOTHING, writableBytes: 0 })
      return
    }
    this.#config.reject('over-limit')
    session.port.resetStream(stream, RESET_REFUSED)
  }

  onData(session: MemberSession, stream: number, data: Uint8Array): void {
    const streams = this.#streamsOf(session)
    const open = streams.named.get(stream)
    if (open !== undefined) return this.#give(open, data)
    const nameless = streams.nameless.get(stream)
    if (nameless !== undefined) this.#onNameless(session, stream, nameless, data)
  }

  onEnded(session: MemberSession, stream: number): void {
    const streams = this.#streamsOf(session)
    const open = streams.named.get(stream)
    if (open !== undefined) {
      open.hasEnded = true
      this.#config.emit({ type: 'ended', stream: open.handle })
      this.#forgetIfOver(open)
    } else if (streams.nameless.has(stream)) this.#refuse(session, stream, 'malformed')
  }

  onReset(session: MemberSession, stream: number): void {
    const streams = this.#streamsOf(session)
    const open = streams.named.get(stream)
    if (open === undefined && !streams.nameless.delete(stream)) return
    session.port.resetStream(stream, RESET_ABORTED)
    if (open === undefined) return
    this.#forget(open)
    this.#broken(open.handle, 'EABORTED')
  }

  onWritable(session: MemberSession, stream: number, bytes: number): void {
    const streams = this.#sessions.get(session)
    const open = streams?.named.get(stream)
    if (open !== undefined) return this.#writable(open, bytes)
    const nameless = streams?.nameless.get(stream)
    if (nameless !== undefined) nameless.writableBytes = bytes
  }

  ended(membership: Membership, code: FailureCode): void {
    const named = this.#sessions.get(membership.session)?.named
    for (const open of [...(named?.values() ?? [])]) {
      if (open.membership !== membership) continue
      this.#forget(open)
      membership.session.port.resetStream(open.stream, RESET_ABORTED)
      this.#broken(open.handle, code)
    }
  }

  /** The session is gone and its port takes no more calls: what is open breaks. */
  sessionDown(session: MemberSession): void {
    const streams = this.#sessions.get(session)
    if (streams === undefined) return
    this.#sessions.delete(session)
    for (const open of streams.named.values()) {
      this.#byHandle.delete(open.handle)
      this.#broken(open.handle, 'EPEERGONE')
    }
  }

  #onNameless(
    session: MemberSession,
    stream: number,
    nameless: NamelessStream,
    data: Uint8Array,
  ): void {
    const streams = this.#streamsOf(session)
    const whole = concat(nameless.start, data)
    const header = decodeStreamHeader(whole)
    if (header === undefined) {
      nameless.start = whole
      return
    }
    if (header === MALFORMED) return this.#refuse(session, stream, 'malformed')
    const membership = this.#config.resolve(session, header.pair)
    if (membership === undefined) return this.#refuse(session, stream, 'unknown')
    streams.nameless.delete(stream)
    const handle = this.#nextHandle
    this.#nextHandle += 2
    const open = this.#name(handle, membership, stream)
    const { peer, subcluster } = membership
    const { name } = header
    this.#config.emit({ type: 'stream', stream: handle, subcluster: subcluster.handle, peer, name })
    if (nameless.writableBytes > 0) this.#writable(open, nameless.writableBytes)
    session.port.consumeStream(stream, header.bytes)
    if (whole.length > header.bytes) this.#give(open, whole.subarray(header.bytes))
  }

  #refuse(session: MemberSession, stream: number, code: RejectCode): void {
    this.#streamsOf(session).nameless.delete(stream)
    this.#config.reject(code)
    session.port.resetStream(stream, RESET_REFUSED)
  }

  #writable(open: MemberStream, bytes: number): void {
    this.#config.emit({ type: 'writable', stream: open.handle, bytes })
  }

  #give(open: MemberStream, data: Uint8Array): void {
    open.unconsumedBytes += data.length
    this.#config.emit({ type: 'data', stream: open.handle, data })
  }

  #name(handle: Handle, membership: Membership, stream: number): MemberStream {
    const open: MemberStream = {
      handle,
      membership,
      stream,
      hasFinished: false,
      hasEnded: false,
      unconsumedBytes: 0,
    }
    this.#byHandle.set(handle, open)
    this.#streamsOf(membership.session).named.set(stream, open)
    return open
  }

  #streamsOf(session: MemberSession): SessionStreams {
    let streams = this.#sessions.get(session)
    if (streams === undefined) {
      streams = { named: new Map(), nameless: new Map() }
      this.#sessions.set(session, streams)
    }
    return streams
  }

  /** Kept until the last byte is consumed: the session's window counts on it. */
  #forgetIfOver(open: MemberStream): void {
    if (open.hasFinished && open.hasEnded && open.unconsumedBytes <= 0) this.#forget(open)
  }

  #forget(open: MemberStream): void {
    this.#byHandle.delete(open.handle)
    this.#sessions.get(open.membership.session)?.named.delete(open.stream)
  }

  #broken(stream: Handle, code: FailureCode): void {
    this.#config.emit({ type: 'broken', stream, code })
  }
}
