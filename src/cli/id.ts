import { storedPeerId } from '../api/node-store.ts'
import { checkOptions } from '../api/options.ts'
import { type Command, type Invocation, UsageFault } from './command.ts'
import { COMMON_HELP, COMMON_OPTIONS, networkOptions } from './common-options.ts'

const HELP = `latica id: print the peerId kept in the storage, made at the first time.

A peerId is the public half of a key pair: 64 hex digits that nobody else can claim. The private
half stays in the storage, readable by you alone: keep that folder to stay the same peer.

Usage: latica id [options]

Examples:
  latica id
  latica id --storage ./alice              that of another folder
  latica id --json | jq -r .peerId

Options:
${COMMON_HELP}`

export const id: Command = {
  name: 'id',
  summary: 'print the peerId of this user',
  help: HELP,
  options: COMMON_OPTIONS,
  async run({ values, positionals, print }: Invocation): Promise<number> {
    if (positionals.length > 0)
      throw new UsageFault(`latica id takes no ${JSON.stringify(positionals[0])}.`)
    if (values['no-storage'] === true)
      throw new UsageFault('Without storage there is no id to print: leave --no-storage out.')
    const { peerId, folder } = await storedPeerId(checkOptions(await networkOptions(values)))
    print('id', { peerId, storage: folder }, peerId)
    return 0
  },
}
