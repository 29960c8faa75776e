import type { FailureCode, Handle, PeerEvent, PeerId } from '../core/io.ts'
import { LaticaError, mustBe } from './errors.ts'
import type { Host } from './host.ts'
import { aborted } from './operations.ts'
import type { PeerStream } from './types.ts'

export type StreamEvent = Extract<PeerEvent, { type: 'data' | 'ended' | 'broken' | 'writable' }>

/** What one read takes at most: large enough that the cost of a promise is small against it. */
const CHUNK_BYTES_MAX = 65_536
/**
 * Reading is told to the peer in steps of this: a command for each datagram would cost as much as
 * opening it. As many streams as may be open at once hold back half the session's window together.
 */
const CONSUME_BYTES = 4_096
/** Written but not yet taken by the peer, before `writer.ready` makes the writer wait. */
const WRITE_QUEUE_BYTES = 65_536

/**
 * A stream of the peer as a pair of web streams. Bytes are taken from the peer when they are read,
 * and given to it when it has room: nothing between the two programmes grows without bound.
 */
export class MemberStream implements PeerStream {
  readonly name: string
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
  readonly closed: Promise<void>
  /** Resolves when the stream may be written. */
  readonly opened: Promise<void>

  readonly #handle: Handle
  readonly #host: Host
  readonly #forget: () => void
  readonly #received: Uint8Array[] = []
  #credit = 0
  /** Bytes read and not yet told to the peer. */
  #consumedBytes = 0
  #isRemoteDone = false
  #isLocalDone = false
  #isDiscarding = false
  #isPulling = false
  #broken: Error | undefined
  #hasCredit: () => void = () => {}
  #reading: ReadableByteStreamController | undefined
  #writing: WritableStreamDefaultController | undefined
  #open: { resolve: () => void; reject: (error: Error) => void } = NOTHING
  #close: { resolve: () => void; reject: (error: Error) => void } = NOTHING

  constructor(host: Host, handle: Handle, name: string, forget: () => void) {
    this.#host = host
    this.#handle = handle
    this.#forget = forget
    this.name = name
    this.opened = new Promise((resolve, reject) => {
      this.#open = { resolve, reject }
    })
    this.closed = new Promise((resolve, reject) => {
      this.#close = { resolve, reject }
    })
    // A stream may break while nobody waits for either: that is no fault of the programme.
    this.opened.catch(() => {})
    this.closed.catch(() => {})
    this.readable = new ReadableStream({
      type: 'bytes',
      start: (controller) => {
        this.#reading = controller
      },
      pull: () => {
        this.#isPulling = true
        this.#feed()
      },
      cancel: () => this.#discard(),
    })
    this.writable = new WritableStream(
      {
        start: (controller) => {
          this.#writing = controller
          // A write that waits for room delays the sink's own `abort`: the signal comes at once. Not
          // in the same job: Node 20 fails an assertion when the stream errors while it is aborted.
          const abort = () => this.abort(controller.signal.reason)
          controller.signal.addEventListener('abort', () => queueMicrotask(abort))
        },
        write: (chunk) => this.#write(chunk),
        close: () => this.#finish(),
      },
      {
        highWaterMark: WRITE_QUEUE_BYTES,
        size: (chunk: unknown) => (chunk instanceof Uint8Array ? chunk.length : 0),
      },
    )
  }

  abort(reason?: unknown): void {
    if (this.#broken !== undefined || this.#isOver) return
    this.#host.command({ type: 'reset', stream: this.#handle })
    this.fail('EABORTED', reason)
  }

  handle(event: StreamEvent): void {
    switch (event.type) {
      case 'data':
        if (this.#isDiscarding) this.#consume(event.data.length)
        else this.#received.push(event.data)
        this.#feed()
        return
      case 'ended':
        this.#isRemoteDone = true
        this.#consume(0)
        this.#feed()
        this.#settle()
        return
      case 'writable':
        this.#credit = event.bytes
        this.#open.resolve()
        if (event.bytes > 0) this.#hasCredit()
        return
      case 'broken':
        this.fail(event.code)
    }
  }

  /** Ends both directions with an error, at this side alone. */
  fail(code: FailureCode, cause?: unknown): void {
    if (this.#broken !== undefined || this.#isOver) return
    const error = new LaticaError(code, undefined, cause)
    this.#broken = error
    this.#received.length = 0
    this.#forget()
    this.#reading?.error(error)
    this.#writing?.error(error)
    this.#hasCredit()
    this.#open.reject(error)
    this.#close.reject(error)
  }

  get #isOver(): boolean {
    return this.#isRemoteDone && this.#isLocalDone && this.#received.length === 0
  }

  #feed(): void {
    const reading = this.#reading
    if (reading === undefined || this.#broken !== undefined || this.#isDiscarding) return
    if (this.#received.length > 0 && this.#isPulling) {
      this.#isPulling = false
      const chunk = takeBytes(this.#received, CHUNK_BYTES_MAX)
      const sizeBytes = chunk.length
      reading.enqueue(chunk)
      this.#consume(sizeBytes)
    }
    if (this.#received.length === 0 && this.#isRemoteDone) {
      this.#isDiscarding = true
      reading.close()
      reading.byobRequest?.respond(0)
      this.#settle()
    }
  }

  #consume(bytes: number): void {
    this.#consumedBytes += bytes
    if (this.#consumedBytes < CONSUME_BYTES && !this.#isRemoteDone) return
    const consumedBytes = this.#consumedBytes
    this.#consumedBytes = 0
    if (consumedBytes > 0)
      this.#host.command({ type: 'consume', stream: this.#handle, bytes: consumedBytes })
  }

  /** The programme reads no more. What comes is thrown away, so that our own writing can go on. */
  #discard(): void {
    for (const chunk of this.#received.splice(0)) this.#consume(chunk.length)
    this.#isDiscarding = true
    if (this.#isLocalDone && !this.#isRemoteDone) {
      this.#host.command({ type: 'reset', stream: this.#handle })
      this.#isRemoteDone = true
    }
    this.#settle()
  }

  async #write(chunk: unknown): Promise<void> {
    if (!(chunk instanceof Uint8Array)) this.abort('a chunk was no Uint8Array')
    mustBe(chunk instanceof Uint8Array, 'chunk', 'a Uint8Array', chunk, 'EBADVALUE')
    // Inside an event the peer does what it is told only later: its room would be counted twice.
    await Promise.resolve()
    for (let offset = 0; offset < chunk.length; ) {
      while (this.#credit === 0 && this.#broken === undefined)
        await new Promise<void>((resolve) => {
          this.#hasCredit = resolve
        })
      if (this.#broken !== undefined) throw this.#broken
      // The peer keeps what it is given until it is acknowledged: the caller's buffer is not ours.
      const data = chunk.slice(offset, offset + this.#credit)
      offset += data.length
      this.#credit -= data.length
      this.#host.command({ type: 'write', stream: this.#handle, data })
    }
  }

  #finish(): void {
    this.#isLocalDone = true
    this.#host.command({ type: 'finish', stream: this.#handle })
    this.#settle()
  }

  #settle(): void {
    if (!this.#isOver) return
    this.#forget()
    this.#close.resolve()
  }
}

const NOTHING = { resolve: () => {}, reject: () => {} }

/** Takes up to `max` bytes from the front, as one array that nobody else holds. */
function takeBytes(chunks: Uint8Array[], max: number): Uint8Array<ArrayBuffer> {
  let count = 0
  let length = 0
  while (count < chunks.length && length + (chunks[count]?.length ?? 0) <= max)
    length += chunks[count++]?.length ?? 0
  if (count === 0) {
    const first = chunks[0] ?? new Uint8Array(0)
    chunks[0] = first.subarray(max)
    return Uint8Array.from(first.subarray(0, max))
  }
  const whole = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks.splice(0, count)) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}

/** The streams of a socket by number. Ours are even, those of remotes are numbered by the core. */
export class Streams {
  readonly #host: Host
  readonly #byHandle = new Map<Handle, { stream: MemberStream; subcluster: Handle }>()
  #lastOpened = 0

  constructor(host: Host) {
    this.#host = host
  }

  async open(
    subcluster: Handle,
    peer: PeerId,
    name: string,
    signal: AbortSignal | undefined,
  ): Promise<PeerStream> {
    if (signal?.aborted) throw aborted(signal)
    this.#lastOpened += 2
    const handle = this.#lastOpened
    const stream = this.accept(handle, subcluster, name)
    const onAbort = () => stream.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#host.command({ type: 'openStream', stream: handle, subcluster, peer, name })
    try {
      await stream.opened
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
    return stream
  }

  accept(handle: Handle, subcluster: Handle, name: string): MemberStream {
    const stream = new MemberStream(this.#host, handle, name, () => this.#byHandle.delete(handle))
    this.#byHandle.set(handle, { stream, subcluster })
    return stream
  }

  handle(event: StreamEvent): void {
    this.#byHandle.get(event.stream)?.stream.handle(event)
  }

  /** Ends every stream, or those of one subcluster. */
  failAll(code: FailureCode, subcluster?: Handle): void {
    for (const held of [...this.#byHandle.values()])
      if (subcluster === undefined || held.subcluster === subcluster) held.stream.fail(code)
  }
}
