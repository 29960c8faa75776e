import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { loadCrypto } from '../api/provider.ts'
import { type Command, type Invocation, UsageFault } from './command.ts'
import { COMMON_HELP, COMMON_OPTIONS, textOf } from './common-options.ts'
import type { Offer } from './file-offer.ts'
import { offerOf } from './file-parts.ts'
import { FileSender } from './file-sender.ts'
import { harmless, short } from './printer.ts'
import { sizeText } from './progress-line.ts'
import { inRoom, isConnected, secretOf, WAIT_MS } from './room.ts'
import { secondsOption, ttlOption } from './times.ts'

/** Members that are here and take files say so within that time. Guess. */
const RECEIPT_MS = 3_000
/** Of a file, in a cache of 16 MiB: a leaf of 1152 bytes is charged 256 more (docs/spec/cache.md). */
const KEPT_BYTES = 12_000_000

const HELP = `latica send: send files to everyone who knows the secret, now or later.

A file is published in parts, sealed to the members: other peers keep them, and cannot read them. A
receiver takes parts from all who have them. Stopped on either side, it goes on where it was.

Usage: latica send <secret> <file…> [options]

Examples:
  latica send "a long secret" photo.jpg              and end when others have it
  latica send "a long secret" film.mkv --stay        stay until a receiver has all of it
  latica send "a long secret" *.jpg --ttl 1d         kept for a day, not 7

The other side: latica receive "a long secret"

A peer keeps 16 MiB for others unless told otherwise, which holds 12 MB of files: with more, stay
until somebody received it.

It ends with 0 when other peers were there to take every part, and with 1 when nobody was.

Options:
  --stay             serve the files until a receiver has them; Ctrl-C ends it
  --ttl <time>       how long others keep them: 90s, 30m, 2h, 7d (default and most: 7d)
  --wait <seconds>   how long to wait for another peer (default: ${WAIT_MS / 1_000})
${COMMON_HELP}`

export const send: Command = {
  name: 'send',
  summary: 'send files, to be received now or later',
  help: HELP,
  options: {
    ...COMMON_OPTIONS,
    stay: { type: 'boolean' },
    ttl: { type: 'string' },
    wait: { type: 'string' },
  },
  async run(invocation: Invocation): Promise<number> {
    const { values, positionals, terminal } = invocation
    const [secret, paths] = secretOf('send', positionals)
    if (paths.length === 0)
      throw new UsageFault('The file is missing: latica send "a long secret" photo.jpg.')
    const ttl = ttlOption(textOf(values, 'ttl'), 'ttl')
    const waitMs = secondsOption(values, 'wait') ?? WAIT_MS
    for (const path of paths) await checkFile(path)
    const crypto = await loadCrypto()
    const offers: [path: string, offer: Offer][] = []
    for (const path of paths) offers.push([path, await offerOf(crypto, path)])
    return inRoom(invocation, secret, async ({ socket, room }) => {
      const isMet = isConnected(socket, waitMs, terminal.interrupted)
      const sender = new FileSender(invocation, crypto, { socket, room }, ttl)
      for (const [path, offer] of offers) sender.add(path, offer)
      await isMet
      await sender.publish()
      if (values['stay'] === true) await stay(invocation, sender)
      else if (room.peers.size > 0) await sender.isReceived(AbortSignal.timeout(RECEIPT_MS))
      return report(invocation, sender)
    })
  },
}

async function checkFile(path: string): Promise<void> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new UsageFault(`There is no file ${JSON.stringify(path)}.`)
    throw error
  })
  if (!stats.isFile())
    throw new UsageFault(`${JSON.stringify(path)} is no file: send the files in it, or an archive.`)
}

async function stay({ terminal, print }: Invocation, sender: FileSender): Promise<void> {
  const { interrupted } = terminal
  if (interrupted.aborted) return
  print('staying', {}, 'staying until a receiver has everything; Ctrl-C ends it')
  await Promise.race([sender.isReceived(interrupted), once(interrupted, 'abort')])
}

function report({ print, terminal }: Invocation, sender: FileSender): number {
  let isSafe = true
  for (const { offer, total, kept, receivers } of sender.files()) {
    const { file, name, sizeBytes } = offer
    const isKept = kept === total
    isSafe &&= isKept || receivers.length > 0
    const who = receivers.map((peerId) => short(peerId)).join(', ')
    const large =
      sizeBytes > KEPT_BYTES
        ? '. It is larger than what one peer keeps: --stay until somebody received it'
        : ''
    const where =
      receivers.length > 0
        ? `received by ${who}`
        : isKept
          ? `kept by other peers${large}`
          : `${total - kept} of ${total} parts are only here: nobody was there to take them`
    const fields = { file, name, sizeBytes, parts: total, kept, receivers }
    print('sent', fields, `${harmless(name)}, ${sizeText(sizeBytes)}: ${where}`)
  }
  return isSafe || terminal.interrupted.aborted ? 0 : 1
}
