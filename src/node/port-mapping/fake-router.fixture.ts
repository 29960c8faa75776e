import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import type { LocalAddress } from '../../core/io.ts'
import { plain } from '../udp-socket.ts'
import type { Wanted } from './lease.ts'

/** A UDP server on loopback that keeps what it is asked, and answers as the test says. */
export class FakeRouter {
  readonly heard: Uint8Array[] = []
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  static async start(
    t: TestContext,
    answer: (asked: Uint8Array, nth: number) => readonly (Uint8Array | string)[],
  ): Promise<FakeRouter> {
    const socket = createSocket('udp4')
    t.after(() => socket.close())
    const router = new FakeRouter(socket)
    socket.on('message', (data: Buffer, from: RemoteInfo) => {
      const asked = plain(data).slice()
      router.heard.push(asked)
      for (const each of answer(asked, router.heard.length))
        socket.send(each, from.port, from.address)
    })
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return router
  }

  get address(): LocalAddress {
    return { host: '127.0.0.1', port: this.#socket.address().port }
  }

  /** Calls `hear` with the source of the next question. */
  once(hear: (from: RemoteInfo) => void): void {
    this.#socket.once('message', (_data, from) => hear(from))
  }

  /** A port of ours that this router is to forward. */
  wanted(port: number): Wanted {
    return { uplink: { host: '127.0.0.1', gateway: this.address }, port }
  }
}
