import { MALFORMED } from '../core/errors.ts'
import type { Handle, HistoryCursor, PeerEvent, UnixMs } from '../core/io.ts'
import type { LaticaError } from './errors.ts'
import { publishedPacket } from './member.ts'
import type { Gate, Operations } from './operations.ts'
import type { Loose, PublishedPacket } from './types.ts'
import { decodeValue } from './values.ts'

/**
 * Turns the pages of what a peer keeps into a loop, one page ahead of who reads. It decides neither
 * what is kept nor in which order.
 */

/** Guess: hides the way to the peer and back, and holds little; a page ends early at large values. */
export const HISTORY_PAGE_PACKETS = 256

export type HistoryPage = Extract<PeerEvent, { type: 'history' }>

export interface HistoryQuery {
  readonly operations: Operations
  readonly gate: Gate
  readonly subcluster: Handle
  readonly since: UnixMs
  /** Undefined: every event. */
  readonly event: string | undefined
  readonly signal: AbortSignal | undefined
  /** False once we left: no command may name the subcluster any more. */
  readonly isOpen: () => boolean
  /** A value could not be read. */
  readonly malformed: () => void
}

export interface KeptItem {
  readonly event: string
  readonly value: Loose
  readonly packet: PublishedPacket
}

export async function* readHistory(query: HistoryQuery): AsyncGenerator<KeptItem> {
  for await (const { packet, event, value: bytes } of readPages(query)) {
    // Events that begin with '#' are the peers' own.
    const isWanted = query.event === undefined ? !event.startsWith('#') : event === query.event
    if (!isWanted) continue
    const value = decodeValue(bytes)
    if (value === MALFORMED) query.malformed()
    else yield { event, value, packet: publishedPacket(packet) }
  }
}

async function* readPages(query: HistoryQuery): AsyncGenerator<HistoryPage['packets'][number]> {
  const { signal } = query
  const stop = new AbortController()
  const onAbort = () => stop.abort()
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    let coming = ask(query, undefined, stop.signal)
    for (;;) {
      const page = await coming
      if (page instanceof Error) throw page
      const last = page?.packets.at(-1)
      if (page === undefined || last === undefined) return
      if (!page.isLast) coming = ask(query, cursorOf(last), stop.signal)
      for (const item of page.packets) {
        if (stop.signal.aborted) return
        yield item
      }
      if (page.isLast) return
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    stop.abort()
  }
}

function cursorOf({ packet: { id, lamport } }: HistoryPage['packets'][number]): HistoryCursor {
  return { id, lamport }
}

/** Never rejects, since nobody may be waiting yet. Undefined: the reader stopped, or we left. */
function ask(
  { operations, gate, subcluster, since, isOpen }: HistoryQuery,
  after: HistoryCursor | undefined,
  signal: AbortSignal,
): Promise<HistoryPage | Error | undefined> {
  if (!isOpen()) return Promise.resolve(undefined)
  const limit = HISTORY_PAGE_PACKETS
  return operations
    .run(gate, 0, signal, (operation) => ({
      type: 'history',
      operation,
      subcluster,
      since,
      after,
      limit,
    }))
    .then(
      (outcome) => (outcome.type === 'history' ? outcome : undefined),
      (error: LaticaError) => {
        const isOver = error.code === 'EABORTED' || error.code === 'ECLOSED'
        return isOver ? undefined : error
      },
    )
}
