import { UsageError } from '../errors.ts'
import type { AckFrame } from '../wire/frames.ts'
import { PLAINTEXT_BYTES_MAX } from '../wire/frames.ts'
import { DATAGRAM_BYTES_MIN, PATHS_MAX } from './limits.ts'
import { Path, type PathOptions } from './path.ts'

/**
 * The paths of one session: which there are, which one data takes, which one acknowledgements take,
 * and their recovery timers. Which paths are good is the session's to judge.
 */
export class Paths {
  readonly #paths = new Map<number, Path>()
  #active: Path | undefined
  /** Where the last datagram that asked for an ACK came from: once proved, that way works. */
  #answering: Path | undefined

  /** The path that data takes. */
  get active(): Path | undefined {
    return this.#active
  }

  /** The path that ACK-only datagrams take. */
  get forAcks(): Path | undefined {
    return this.#answering?.isProved === true ? this.#answering : this.#active
  }

  get(path: number): Path | undefined {
    return this.#paths.get(path)
  }

  all(): Iterable<Path> {
    return this.#paths.values()
  }

  add(path: number, options: PathOptions): void {
    const { datagramBytes } = options
    const isValid =
      Number.isInteger(datagramBytes) &&
      datagramBytes >= DATAGRAM_BYTES_MIN &&
      datagramBytes <= PLAINTEXT_BYTES_MAX
    if (!isValid) {
      const expected = `${DATAGRAM_BYTES_MIN} to ${PLAINTEXT_BYTES_MAX}`
      throw new UsageError('ERANGE', 'datagramBytes', expected, String(datagramBytes))
    }
    const known = this.#paths.get(path)
    if (known !== undefined) {
      known.resize(datagramBytes)
      return
    }
    if (this.#paths.size >= PATHS_MAX)
      throw new UsageError('EPATHS', 'path', `at most ${PATHS_MAX} paths`, String(path))
    this.#paths.set(path, new Path(path, options))
  }

  /** What was in flight on the path is given up, to go out again elsewhere. */
  remove(path: number): void {
    const removed = this.#paths.get(path)
    if (removed === undefined) return
    this.#paths.delete(path)
    if (this.#active === removed) this.#active = undefined
    if (this.#answering === removed) this.#answering = undefined
    removed.recovery.abandon()
  }

  /**
   * Data takes this path from here on. What is in flight on the former one is waited for, unless that
   * one has missed an acknowledgement already.
   */
  activate(path: number): void {
    const active = this.#paths.get(path)
    if (active === undefined)
      throw new UsageError('ENOPATH', 'path', 'one that was added', String(path))
    const former = this.#active
    this.#active = active
    this.#answering = undefined
    if (former !== undefined && former !== active && former.recovery.timeouts > 0)
      former.recovery.abandon()
  }

  /** What is in flight on the path is given up, to go out again on the active one. */
  abandon(path: number): void {
    this.#paths.get(path)?.recovery.abandon()
  }

  /** A datagram that asks for an acknowledgement came by this path. */
  onAsked(path: number): void {
    this.#answering = this.#paths.get(path) ?? this.#answering
  }

  onAck(ack: AckFrame, now: number): void {
    for (const path of this.#paths.values()) path.recovery.onAck(ack, path.isIdle, now)
  }

  /** When the first recovery timer is due; infinity for never. */
  timerAt(): number {
    let at = Number.POSITIVE_INFINITY
    for (const path of this.#paths.values())
      at = Math.min(at, path.recovery.timerAt() ?? Number.POSITIVE_INFINITY)
    return at
  }

  /** Only the active path is probed: elsewhere, what goes unanswered is given up. */
  onTimers(now: number): void {
    for (const path of this.#paths.values()) {
      if (!path.recovery.onTimer(now)) continue
      if (path === this.#active) path.recovery.onTimeout()
      else path.recovery.abandon()
    }
  }

  get bytesInFlight(): number {
    let bytes = 0
    for (const path of this.#paths.values()) bytes += path.recovery.bytesInFlight
    return bytes
  }
}
