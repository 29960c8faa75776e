import { once } from 'node:events'
import { network } from '../api/node-network.ts'
import type { Socket } from '../api/types.ts'
import { type Command, type Invocation, UsageFault } from './command.ts'
import { COMMON_HELP, COMMON_OPTIONS, networkOptions, numberOf } from './common-options.ts'
import { plainNat, routerSentence } from './nat-words.ts'
import { type Printer, short } from './printer.ts'
import { sizeText } from './progress-line.ts'

const MEBIBYTE = 1_048_576
/** How often what is kept is looked at. A programme hears each change, a person the first. */
const KEPT_MS = 1_000
const KEPT_LINE_MS = 60_000

const HELP = `latica up: run a peer, and say what happens.

A peer that is always on is a friend of everyone: others find the network through it, it introduces
and relays for them, and it keeps what they write for those who are away, which it cannot read. It
needs no configuration and has no special role.

Usage: latica up [options]

Examples:
  latica up                                a peer on this network
  latica up --port 9777                    on a port that a firewall lets through
  latica up --peer 192.0.2.7:9777          and meet that one first
  latica up --cache 256                    keep up to 256 MiB for others
  latica up --json | jq -r 'select(.type == "ticket").ticket'

It prints a ticket. Give it to another peer, on any network, with --peer. Ctrl-C ends it.

Options:
  --cache <MiB>      the most to keep for others, 1 to 1024 (default: 16)
${COMMON_HELP}`

export const up: Command = {
  name: 'up',
  summary: 'run a peer, and say what happens',
  help: HELP,
  options: { ...COMMON_OPTIONS, cache: { type: 'string' } },
  async run(invocation: Invocation): Promise<number> {
    const { values, positionals, print, terminal } = invocation
    if (positionals.length > 0)
      throw new UsageFault(`latica up takes no ${JSON.stringify(positionals[0])}.`)
    const { interrupted } = terminal
    const mebibytes = numberOf(values, 'cache')
    if (mebibytes !== undefined && !(mebibytes >= 1 && mebibytes <= 1024))
      throw new UsageFault(`--cache needs 1 to 1024 MiB, got ${mebibytes}.`)
    const cache = mebibytes === undefined ? {} : { cacheBytes: mebibytes * MEBIBYTE }
    const socket = await network({ ...(await networkOptions(values)), ...cache })
    report(socket, print)
    const tellKept = keptTeller(socket, print)
    const timer = setInterval(tellKept, KEPT_MS)
    if (!interrupted.aborted) await once(interrupted, 'abort')
    clearInterval(timer)
    tellKept()
    await socket.close()
    print('closed', {}, 'closed')
    return 0
  },
}

/** Prints who we are and every change from here on. */
export function report(socket: Socket, print: Printer): void {
  const { peerId } = socket
  print('peer', { peerId }, `peer    ${peerId}`)
  let ticket = ''
  const printTicket = () => {
    if (socket.ticket() === ticket) return
    ticket = socket.ticket()
    print('ticket', { ticket }, `ticket  ${ticket}`)
  }
  printTicket()
  void reportNat(socket, print)
  const { state, advice } = socket.info()
  printState(print, state, advice)
  socket.on('#state', (changed, why) => {
    printState(print, changed, why)
    printTicket()
  })
  socket.on('#connection', ({ peerId: other, path }) => {
    print('connection', { peerId: other, path }, `+ ${short(other)} connected (${path})`)
    printTicket()
  })
  socket.on('#disconnection', ({ peerId: other }, why) => {
    print('disconnection', { peerId: other, why }, `- ${short(other)} disconnected (${why})`)
  })
  socket.on('#error', (error) => {
    const message = error instanceof Error ? error.message : String(error)
    print('error', { message }, `! ${message}`)
  })
}

/** A function that tells what is kept for others when that changed. */
export function keptTeller(
  socket: Socket,
  print: Printer,
  now: () => number = () => performance.now(),
): () => void {
  let last = '0 0'
  let lineAt = Number.NEGATIVE_INFINITY
  return () => {
    const stats = socket.stats()
    const packets = stats['packetsKept'] ?? 0
    const bytes = stats['cacheBytes'] ?? 0
    if (last === `${packets} ${bytes}`) return
    last = `${packets} ${bytes}`
    const isDue = now() - lineAt >= KEPT_LINE_MS
    if (isDue) lineAt = now()
    const line = isDue ? `keeping ${packets} packets of others, ${sizeText(bytes)}` : undefined
    print('keeping', { packets, bytes }, line)
  }
}

/** Prints what we are behind once it is known, and again when it changes. */
async function reportNat(socket: Socket, print: Printer): Promise<void> {
  let last: string | undefined
  for await (const { type } of socket.inspect()) {
    if (type !== 'nat') continue
    const { nat } = socket.info()
    const sentence = routerSentence(nat)
    if (sentence === undefined || sentence === last) continue
    last = sentence
    print('nat', { nat: plainNat(nat) }, `nat     ${sentence}`)
  }
}

function printState(print: Printer, state: string, advice: string | undefined): void {
  if (state !== 'closed')
    print(
      'state',
      { state, advice },
      `state   ${state}${advice === undefined ? '' : `. ${advice}`}`,
    )
}
