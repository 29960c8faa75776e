import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Encryption } from '../api/encryption.ts'
import { network } from '../api/node-network.ts'
import type { Socket, Subcluster } from '../api/types.ts'
import { type Command, type Invocation, UsageFault } from './command.ts'
import { COMMON_HELP, COMMON_OPTIONS, networkOptions, numberOf, textOf } from './common-options.ts'
import { harmless, short } from './printer.ts'

const WAIT_S = 10
const NAME_CHARACTERS_MAX = 40

const HELP = `latica chat: talk with everyone who knows the secret.

What is typed goes, encrypted, to every member who is here. The secret is all that a member needs to
know, and all that protects what is said: a short one can be guessed.

Usage: latica chat <secret> [options]

Examples:
  latica chat "a long secret"                            on a local network: that is all
  latica chat "a long secret" --name ann
  latica chat "a long secret" --peer latica://…          elsewhere: with the ticket of latica up
  echo "build done" | latica chat "a long secret"        waits for a member, sends, ends
  latica chat "a long secret" --stay < /dev/null         only listens
  latica chat "a long secret" --json | jq .text

Options:
  --name <name>      what the others see (default: the beginning of your peerId)
  --wait <seconds>   in a pipe: how long to wait for the first member (default: ${WAIT_S})
  --stay             in a pipe: go on listening when the input has ended; Ctrl-C ends it
${COMMON_HELP}`

interface Chat {
  events: { message: { text: string } }
  presence: { name: string }
}

export const chat: Command = {
  name: 'chat',
  summary: 'talk with everyone who knows a secret',
  help: HELP,
  options: {
    ...COMMON_OPTIONS,
    name: { type: 'string' },
    wait: { type: 'string' },
    stay: { type: 'boolean' },
  },
  async run(invocation: Invocation): Promise<number> {
    const { values, positionals, terminal } = invocation
    const [secret, ...more] = positionals
    if (secret === undefined || secret === '')
      throw new UsageFault('The secret is missing: latica chat "a long secret".')
    if (more.length > 0)
      throw new UsageFault('There is more than one secret: put it into quotes if it has spaces.')
    const waitMs = 1_000 * (numberOf(values, 'wait') ?? WAIT_S)
    const name = textOf(values, 'name')
    const sharedKey = await Encryption.createSharedKey(secret)
    const socket = await network(await networkOptions(values))
    try {
      const room = await socket.subcluster<Chat>({ sharedKey })
      listen(invocation, socket, room)
      if (name !== undefined) room.presence.set({ name: name.slice(0, NAME_CHARACTERS_MAX) })
      const isMet = terminal.isInteractive || (await isAnyoneHere(room, waitMs, invocation))
      if (!isMet && !terminal.interrupted.aborted) return 1
      await say(invocation, room)
      return 0
    } finally {
      await socket.close()
      invocation.print('closed', {})
    }
  },
}

function listen({ print }: Invocation, socket: Socket, room: Subcluster<Chat>): void {
  const nameOf = (peerId: string) => {
    const name: unknown = room.presence.others.get(peerId)?.name
    const isName = typeof name === 'string' && name !== ''
    return isName ? harmless(name.slice(0, NAME_CHARACTERS_MAX)) : short(peerId)
  }
  const { peerId } = socket
  print('peer', { peerId, ticket: socket.ticket() }, `* you are ${short(peerId)}`)
  room.on('#join', (peer) => {
    const fields = { peerId: peer.peerId, path: peer.path }
    print('join', fields, `* ${short(peer.peerId)} joined (${peer.path})`)
  })
  room.on('#presence', (peer, value) => {
    if (value === undefined) return
    const name = nameOf(peer.peerId)
    print('name', { peerId: peer.peerId, name }, `* ${short(peer.peerId)} is ${name}`)
  })
  room.on('#leave', (peer, why) => {
    print('leave', { peerId: peer.peerId, why }, `* ${short(peer.peerId)} left (${why})`)
  })
  room.on('message', (value: unknown, { author }) => {
    const text = typeof value === 'object' && value !== null ? Reflect.get(value, 'text') : value
    if (typeof text !== 'string') return
    const name = nameOf(author)
    print('message', { peerId: author, name, text }, `${name}: ${harmless(text)}`)
  })
  socket.on('#error', (error) => {
    const message = error instanceof Error ? error.message : String(error)
    print('error', { message }, `! ${message}`)
  })
}

/** In a pipe, words said before anyone is here would be lost. */
async function isAnyoneHere(
  room: Subcluster<Chat>,
  waitMs: number,
  { values, terminal }: Invocation,
): Promise<boolean> {
  if (room.peers.size > 0 || values['stay'] === true) return true
  const seconds = waitMs / 1_000
  const help = 'Start another `latica chat` with the same secret, or give a ticket with --peer.'
  const result = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), waitMs)
    room.once('#join', () => resolve(true))
    terminal.interrupted.addEventListener('abort', () => resolve(false), { once: true })
    room.once('#join', () => clearTimeout(timer))
    terminal.interrupted.addEventListener('abort', () => clearTimeout(timer), { once: true })
  })
  if (!result && !terminal.interrupted.aborted)
    terminal.err(`latica: nobody joined within ${seconds} s, nothing was sent. ${help}\n`)
  return result
}

/** Sends each line; ends with the input (in a pipe) or with Ctrl-C. */
async function say({ values, terminal, print }: Invocation, room: Subcluster<Chat>): Promise<void> {
  const { interrupted } = terminal
  if (interrupted.aborted) return
  const lines = createInterface({ input: terminal.input, crlfDelay: Number.POSITIVE_INFINITY })
  const stop = () => {
    lines.close()
    // An open terminal would keep the process alive.
    if ('destroy' in terminal.input && typeof terminal.input.destroy === 'function')
      terminal.input.destroy()
  }
  interrupted.addEventListener('abort', stop, { once: true })
  for await (const text of lines) {
    if (text === '') continue
    // Who is here has it when this resolves: a pipe may end right after its last line.
    await room.emit('message', { text }, { delivery: 'live', signal: interrupted }).then(
      () => print('sent', { text }),
      (error: unknown) => {
        if (!interrupted.aborted) throw error
      },
    )
  }
  const isStaying = values['stay'] === true && !interrupted.aborted
  if (isStaying) await once(interrupted, 'abort')
}
