import { checkName } from '../api/limits.ts'
import type { EventItem, Loose } from '../api/types.ts'
import { type Command, type Invocation, UsageFault } from './command.ts'
import { COMMON_HELP, COMMON_OPTIONS, numberOf, textOf } from './common-options.ts'
import { type Printer, short } from './printer.ts'
import { inRoom, secretOf } from './room.ts'
import { endOf, momentOption } from './times.ts'
import { jsonOf, lineOf } from './value-text.ts'

const HELP = `latica sub: print what members publish.

Values that were published while this peer was away come first, from whoever kept them, each after
those that it follows. With --since it also prints again what it had received in earlier runs.

Usage: latica sub <secret> [event] [options]

Examples:
  latica sub "a long secret"                         every event, until Ctrl-C
  latica sub "a long secret" news                    one event
  latica sub "a long secret" --since 2h              and those of the last two hours
  latica sub "a long secret" --since 2026-11-27T10:00
  latica sub "a long secret" --since all --for 5     what there is, then end
  latica sub "a long secret" --count 1 --json | jq .value

A line is: time, author, event, value. With --json a value's bytes are {"base64": …}, dates are text
and maps arrays of entries.

Options:
  --since <time>     first what was published since: 2h (ago), a date or all, by its author's clock
  --count <number>   end after so many values
  --for <seconds>    end after so many seconds: with 1 if --count was not reached
${COMMON_HELP}`

export const sub: Command = {
  name: 'sub',
  summary: 'print what members publish',
  help: HELP,
  options: {
    ...COMMON_OPTIONS,
    since: { type: 'string' },
    count: { type: 'string' },
    for: { type: 'string' },
  },
  run(invocation: Invocation): Promise<number> {
    const { values, positionals } = invocation
    const [secret, [event, ...more]] = secretOf('sub', positionals)
    if (more.length > 0)
      throw new UsageFault('There is more than one event: leave it out to print all of them.')
    if (event !== undefined) checkName(event, 'event')
    const since = momentOption(textOf(values, 'since'), 'since', Date.now())
    const count = numberOf(values, 'count')
    if (count === 0) throw new UsageFault('--count needs 1 or more.')
    const ending = endOf(invocation)
    return inRoom(invocation, secret, async ({ room }) => {
      const options = { signal: ending, ...(since === undefined ? {} : { since }) }
      let seen = 0
      for await (const item of room.events(event, options)) {
        printItem(invocation.print, item)
        if (++seen === count) return 0
      }
      return count === undefined || invocation.terminal.interrupted.aborted ? 0 : 1
    })
  },
}

function printItem(print: Printer, { event, value, packet, missed }: EventItem<Loose>): void {
  const { id, author, timestamp, via, gap } = packet
  if (missed > 0)
    print('missed', { count: missed }, `! ${missed} values came too fast and are lost`)
  const at = new Date(timestamp).toISOString()
  const fields = { event, value: jsonOf(value), author, id, at, via, gap }
  print('value', fields, `${at.slice(0, 19)}Z ${short(author)} ${lineOf(event)}: ${lineOf(value)}`)
}
