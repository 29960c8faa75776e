import type { Member } from './member.ts'
import type { Loose } from './types.ts'

interface Result {
  readonly peer: Loose
  readonly ok: boolean
  readonly value?: Loose
  readonly error?: Loose
}

/**
 * Asks several members and yields each answer as it comes. Stops asking when the caller's loop ends
 * or `quorum` of them answered well.
 */
export async function* requestMany(
  members: readonly Member[],
  quorum: number,
  signal: AbortSignal | undefined,
  ask: (member: Member, signal: AbortSignal) => Promise<unknown>,
): AsyncGenerator<Loose, undefined, undefined> {
  const stop = new AbortController()
  const onAbort = () => stop.abort(signal?.reason)
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  const asked = new Map(
    members.map((peer, index) => [
      index,
      ask(peer, stop.signal).then(
        (value): [number, Result] => [index, { peer, ok: true, value }],
        (error: unknown): [number, Result] => [index, { peer, ok: false, error }],
      ),
    ]),
  )
  try {
    for (let good = 0; asked.size > 0 && good < quorum; ) {
      const [index, result] = await Promise.race(asked.values())
      asked.delete(index)
      if (result.ok) good++
      yield result
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    stop.abort()
  }
  return undefined
}
