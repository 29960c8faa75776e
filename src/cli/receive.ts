import { mkdir } from 'node:fs/promises'
import { loadCrypto } from '../api/provider.ts'
import { type Command, type Invocation, UsageFault } from './command.ts'
import { COMMON_HELP, COMMON_OPTIONS, numberOf } from './common-options.ts'
import { FileReceiver } from './file-receiver.ts'
import { inRoom, secretOf } from './room.ts'
import { endOf } from './times.ts'

const HELP = `latica receive: take the files that members send.

Files come from whoever has their parts: the sender, or peers that keep them for you while it is
away. What is here is not fetched again: after Ctrl-C or a crash, start it again with the same
folder.
Nothing in the folder is overwritten: a second "photo.jpg" becomes "photo (2).jpg".

Usage: latica receive <secret> [folder] [options]

Examples:
  latica receive "a long secret"                     into this folder, until Ctrl-C
  latica receive "a long secret" ~/inbox
  latica receive "a long secret" --count 1           end after one file
  latica receive "a long secret" --for 60            end after a minute
  latica receive "a long secret" --json | jq -r 'select(.type == "received").path'

The other side: latica send "a long secret" photo.jpg

Options:
  --count <number>   end when so many files are here, those that were here before included
  --for <seconds>    end after so many seconds: with 1 if --count was not reached
${COMMON_HELP}`

export const receive: Command = {
  name: 'receive',
  summary: 'take the files that members send',
  help: HELP,
  options: { ...COMMON_OPTIONS, count: { type: 'string' }, for: { type: 'string' } },
  run(invocation: Invocation): Promise<number> {
    const { values, positionals, terminal } = invocation
    const [secret, [folder = '.', ...more]] = secretOf('receive', positionals)
    if (more.length > 0)
      throw new UsageFault('There is more than one folder: put it into quotes if it has spaces.')
    const count = numberOf(values, 'count')
    if (count === 0) throw new UsageFault('--count needs 1 or more.')
    const ending = endOf(invocation)
    return inRoom(invocation, secret, async ({ socket, room }) => {
      await mkdir(folder, { recursive: true })
      const receiver = new FileReceiver(invocation, await loadCrypto(), { socket, room }, folder)
      await receiver.run(count, ending)
      const isEnough = count === undefined || receiver.count >= count
      return isEnough || terminal.interrupted.aborted ? 0 : 1
    })
  },
}
