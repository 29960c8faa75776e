import { once } from 'node:events'
import { network } from '../api/node-network.ts'
import type { Socket } from '../api/types.ts'
import { type Command, type Invocation, UsageFault } from './command.ts'
import { COMMON_HELP, COMMON_OPTIONS, networkOptions } from './common-options.ts'
import { plainNat, routerSentence } from './nat-words.ts'
import { type Printer, short } from './printer.ts'

const HELP = `latica up: run a peer, and say what happens.

A peer that is always on is a friend of everyone: others find the network through it, and it
introduces and relays for them. It needs no configuration and has no special role.

Usage: latica up [options]

Examples:
  latica up                                a peer on this network
  latica up --port 9777                    on a port that a firewall lets through
  latica up --peer 192.0.2.7:9777          and meet that one first
  latica up --json | jq -r 'select(.type == "ticket").ticket'

It prints a ticket. Give it to another peer, on any network, with --peer. Ctrl-C ends it.

Options:
${COMMON_HELP}`

export const up: Command = {
  name: 'up',
  summary: 'run a peer, and say what happens',
  help: HELP,
  options: COMMON_OPTIONS,
  async run(invocation: Invocation): Promise<number> {
    const { values, positionals, print, terminal } = invocation
    if (positionals.length > 0)
      throw new UsageFault(`latica up takes no ${JSON.stringify(positionals[0])}.`)
    const { interrupted } = terminal
    const socket = await network(await networkOptions(values))
    report(socket, print)
    if (!interrupted.aborted) await once(interrupted, 'abort')
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
