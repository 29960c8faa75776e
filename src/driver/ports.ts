import type {
  Endpoint,
  Instant,
  LocalAddress,
  PortMapping,
  StoredRecord,
  UnixMs,
} from '../core/io.ts'

/**
 * What a driver asks of its surroundings. An adapter implements these three and knows no protocol;
 * the core never sees them.
 */

/** An answer at once, or later. A driver uses an answer that is there at once in the same call. */
export type MaybePromise<T> = T | Promise<T>

export interface Clock {
  /** Monotonic; need not advance while the machine is suspended. */
  now(): Instant
  wall(): UnixMs
  /**
   * Calls `wake` once when `now()` has reached `when`, or a little early; returns its cancellation.
   * Never calls it inside `at`, even when `when` has passed: other work gets its turn first.
   */
  at(when: Instant, wake: () => void): () => void
}

/** What a transport reports. It may be called inside `open` and `bind`, but never inside `send`. */
export interface TransportReceiver {
  /** `data` is lent for the call. */
  datagram(from: Endpoint, data: Uint8Array): void
  socket(socket: number, state: 'up' | 'down', addresses: readonly LocalAddress[]): void
  /** A router forwards this address to the IPv4 socket; undefined: no longer. */
  portMapping(mapping: PortMapping | undefined): void
}

export interface Transport {
  /** Opens every socket; called once. */
  open(on: TransportReceiver): void
  /**
   * Opens a scratch socket: IPv4, on any free port, numbered by the caller. Reported `up` with its
   * addresses, or `down` when it cannot be had. Its datagrams come and go under its number; what is
   * sent before it is up goes when it is.
   */
  bind(socket: number): void
  /** Closes a scratch socket, reporting nothing. */
  unbind(socket: number): void
  /** Best effort: a send that fails is a lost datagram. `data` is the transport's to keep. */
  send(to: Endpoint, data: Uint8Array): void
  /** Hands what was sent to the network, then reports nothing any more. */
  close(): void
}

/** Records under string keys. A `load` sees every `write` that was called before it. */
export interface Storage {
  /** Every record whose key begins with `prefix`, in order of key. */
  load(prefix: string): MaybePromise<readonly StoredRecord[]>
  /** Writes, or deletes when `value` is undefined. `value` is the storage's to keep. */
  write(key: string, value: Uint8Array | undefined): MaybePromise<void>
  /** Called once, after every write has been answered. */
  close(): MaybePromise<void>
}
