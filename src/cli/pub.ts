import { createInterface } from 'node:readline'
import { checkName } from '../api/limits.ts'
import { type Command, type Invocation, UsageFault } from './command.ts'
import { COMMON_HELP, COMMON_OPTIONS, textOf } from './common-options.ts'
import { inRoom, isConnected, type Room, secretOf, WAIT_MS } from './room.ts'
import { secondsOption, ttlOption } from './times.ts'
import { parsedValue } from './value-text.ts'

/** Values under way at a time: enough to keep a path busy, and little to lose on Ctrl-C. Guess. */
const UNDER_WAY_MAX = 256

const HELP = `latica pub: publish values to everyone who knows the secret, now or later.

What is published is sealed to the members and kept by other peers, who cannot read it, until its
time is over: a member who is away gets it when it comes back, whether or not you are still here.

Usage: latica pub <secret> <event> [value|-] [options]

Examples:
  latica pub "a long secret" news "hello, all"       a text
  latica pub "a long secret" news '{"n": 5}'         what is JSON arrives as that value
  tail -f app.log | latica pub "a long secret" log - a value for each line
  latica pub "a long secret" news hi --ttl 2h        kept for two hours, not 7 days
  latica sub "a long secret" --since all             reads all of these

It ends when another peer keeps what was published, with 0. Without another peer it says so and ends
with 1; what it published stays in its own storage and is handed on the next time.

Options:
  --ttl <time>       how long others keep it: 90s, 30m, 2h, 7d (default and most: 7d)
  --wait <seconds>   how long to wait for another peer (default: ${WAIT_MS / 1_000})
${COMMON_HELP}`

export const pub: Command = {
  name: 'pub',
  summary: 'publish values, to be read now or later',
  help: HELP,
  options: { ...COMMON_OPTIONS, ttl: { type: 'string' }, wait: { type: 'string' } },
  run(invocation: Invocation): Promise<number> {
    const { values, positionals } = invocation
    const [secret, [event, text, ...more]] = secretOf('pub', positionals)
    if (event === undefined)
      throw new UsageFault('The event is missing: latica pub "a long secret" news "hello".')
    checkName(event, 'event')
    if (more.length > 0)
      throw new UsageFault('There is more than one value: put it into quotes if it has spaces.')
    const ttl = ttlOption(textOf(values, 'ttl'), 'ttl')
    const waitMs = secondsOption(values, 'wait') ?? WAIT_MS
    return inRoom(invocation, secret, async ({ socket, room }) => {
      const isMet = isConnected(socket, waitMs, invocation.terminal.interrupted)
      const publish = publisher(invocation, { socket, room }, event, ttl)
      const count = await publish(linesOf(invocation, text), isMet)
      return report(invocation, count)
    })
  },
}

interface Published {
  readonly total: number
  /** Those that another peer was there to keep. */
  readonly kept: number
}

function publisher(
  { print, terminal }: Invocation,
  { socket, room }: Room,
  event: string,
  ttl: number | undefined,
) {
  const options = { signal: terminal.interrupted, ...(ttl === undefined ? {} : { ttl }) }
  return async (texts: AsyncIterable<string>, isMet: Promise<boolean>): Promise<Published> => {
    let total = 0
    let kept = 0
    const underWay = new Set<Promise<void>>()
    const failures: unknown[] = []
    for await (const text of texts) {
      await isMet
      const sent: Promise<void> = room
        .emit(event, parsedValue(text), options)
        .then(({ id }) => {
          const isKept = socket.peers.size > 0
          total++
          if (isKept) kept++
          const where = isKept ? '' : ' (only here)'
          print('published', { event, id, isKept }, `published ${id.slice(0, 16)}${where}`)
        })
        .catch((error: unknown) => {
          if (!terminal.interrupted.aborted) failures.push(error)
        })
        .finally(() => underWay.delete(sent))
      underWay.add(sent)
      while (underWay.size >= UNDER_WAY_MAX) await Promise.race(underWay)
      if (failures.length > 0) break
    }
    await Promise.all(underWay)
    if (failures.length > 0) throw failures[0]
    return { total, kept }
  }
}

async function* linesOf(
  { terminal }: Invocation,
  text: string | undefined,
): AsyncGenerator<string> {
  if (text !== '-') return yield text ?? 'null'
  const { input, interrupted } = terminal
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
  const stop = () => {
    lines.close()
    // An open terminal would keep the process alive.
    if ('destroy' in input && typeof input.destroy === 'function') input.destroy()
  }
  interrupted.addEventListener('abort', stop, { once: true })
  if (!interrupted.aborted) for await (const line of lines) if (line !== '') yield line
}

function report({ print, terminal }: Invocation, { total, kept }: Published): number {
  const only = total - kept
  const help =
    'Start a peer that stays (latica up) and give its ticket with --peer; then run any command ' +
    'with the same storage.'
  const line =
    only === 0
      ? undefined
      : `${only} of ${total} are kept by nobody else: no other peer was there. ${help}`
  print('done', { published: total, kept }, line)
  return only === 0 || terminal.interrupted.aborted ? 0 : 1
}
