import { Encryption } from '../api/encryption.ts'
import { network } from '../api/node-network.ts'
import type { Socket, Subcluster } from '../api/types.ts'
import { type Invocation, UsageFault } from './command.ts'
import { networkOptions } from './common-options.ts'

/** The peer and the group that a command with a secret works in. It decides nothing about the work. */

/** Guess: a handshake takes less than a second, finding a peer a few. */
export const WAIT_MS = 10_000

export interface Room {
  readonly socket: Socket
  readonly room: Subcluster
}

/** The secret and what follows it on the line. */
export function secretOf(command: string, positionals: readonly string[]): [string, string[]] {
  const [secret, ...rest] = positionals
  if (secret === undefined || secret === '')
    throw new UsageFault(`The secret is missing: latica ${command} "a long secret" ….`)
  return [secret, rest]
}

/** Joins, does the work, and leaves however that ended. */
export async function inRoom(
  { values, print }: Invocation,
  secret: string,
  work: (room: Room) => Promise<number>,
): Promise<number> {
  const sharedKey = await Encryption.createSharedKey(secret)
  const socket = await network(await networkOptions(values))
  try {
    const { peerId } = socket
    print('peer', { peerId, ticket: socket.ticket() })
    socket.on('#error', (error) => {
      const message = error instanceof Error ? error.message : String(error)
      print('error', { message }, `! ${message}`)
    })
    return await work({ socket, room: await socket.subcluster({ sharedKey }) })
  } finally {
    await socket.close()
    print('closed', {})
  }
}

/** Whether a peer is connected, at the latest after `waitMs`. */
export function isConnected(
  socket: Socket,
  waitMs: number,
  interrupted: AbortSignal,
): Promise<boolean> {
  if (socket.peers.size > 0) return Promise.resolve(true)
  return new Promise((resolve) => {
    const end = (isMet: boolean) => {
      clearTimeout(timer)
      off()
      interrupted.removeEventListener('abort', onAbort)
      resolve(isMet)
    }
    const onAbort = () => end(false)
    const timer = setTimeout(end, waitMs, false)
    const off = socket.on('#connection', () => end(true))
    interrupted.addEventListener('abort', onAbort, { once: true })
    if (interrupted.aborted) onAbort()
  })
}
