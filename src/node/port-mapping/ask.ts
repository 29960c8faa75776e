import { createSocket } from 'node:dgram'
import type { LocalAddress } from '../../core/io.ts'
import { plain } from '../udp-socket.ts'
import { ABORT_GRACE_MS } from './lease.ts'

export interface Question<T> {
  /** The address of ours to ask from. */
  readonly from: string
  readonly server: LocalAddress
  readonly request: Uint8Array
  /** The answer in a datagram; undefined when it is not the one. Never throws. */
  read(data: Uint8Array): T | undefined
}

/**
 * How long an answer is waited for before the question is repeated, and at last given up. The first
 * is RFC 6886 §3.1's; PCP's 3 s (RFC 6887 §8.1.1) are for servers further away than the next router.
 */
const WAITS_MS = [250, 500, 1_000]

/**
 * Asks a router one question over UDP, from a socket of its own. Undefined when nobody answers, or at
 * once when nobody listens. What others send is not heard.
 */
export function ask<T>(question: Question<T>, signal?: AbortSignal): Promise<T | undefined> {
  const { from, server, request, read } = question
  return new Promise((resolve) => {
    const socket = createSocket({
      type: 'udp4',
      lookup: (literal, _options, callback) => callback(null, literal, 4),
    })
    let timer: NodeJS.Timeout | undefined
    let isOver = false
    const end = (answer: T | undefined) => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', hurry)
      socket.close()
      resolve(answer)
    }
    const waitFor = (ms: number, then: () => void) => {
      clearTimeout(timer)
      timer = setTimeout(then, ms)
    }
    const hurry = () => waitFor(ABORT_GRACE_MS, () => end(undefined))
    const send = (attempt: number) => {
      const waitMs = WAITS_MS[attempt]
      if (isOver) return
      if (waitMs === undefined) return end(undefined)
      waitFor(waitMs, () => send(attempt + 1))
      // A failure to send is a question lost.
      socket.send(request, () => {})
    }
    if (signal?.aborted === true) return end(undefined)
    signal?.addEventListener('abort', hurry)
    socket.on('error', () => end(undefined))
    socket.on('message', (data, { address, port }) => {
      if (isOver || address !== server.host || port !== server.port) return
      const answer = read(plain(data))
      if (answer !== undefined) end(answer)
    })
    // Connected, it hears of a closed port from ICMP.
    socket.bind({ port: 0, address: from, exclusive: true }, () => {
      if (isOver) return
      const connected = (error?: Error) => (error === undefined ? send(0) : end(undefined))
      socket.connect(server.port, server.host, connected)
    })
  })
}
