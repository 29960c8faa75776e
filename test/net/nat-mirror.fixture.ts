import { createSocket, type Socket } from 'node:dgram'
import { createServer } from 'node:net'

/**
 * The programme of a public host that tells who asks what its address looks like from here, from where
 * and when it was asked to: from the port that was asked, from the other one, or from another host.
 */

export type AnsweredBy = 'same' | 'port' | 'host'

export interface Question {
  readonly id: string
  readonly by: AnsweredBy
  readonly afterMs: number
  readonly copies: number
  /** Set by the mirror that was asked, for the other one. */
  readonly asker?: Mapped
}

export interface Mapped {
  readonly host: string
  readonly port: number
}

/** Between copies of an answer. */
const COPY_MS = 20

const [other = '', portsText = '[]'] = process.argv.slice(1)
const ports = JSON.parse(portsText) as number[]
const sockets = ports.map(() => createSocket({ type: 'udp4', recvBufferSize: 4 << 20 }))
const [first] = sockets
let bound = 0

for (const [i, socket] of sockets.entries()) {
  socket.on('message', (data, { address: host, port }) => {
    const question = JSON.parse(data.toString()) as Question
    const asker = question.asker ?? { host, port }
    if (question.afterMs > 0) setTimeout(answer, question.afterMs, socket, question, asker)
    else answer(socket, question, asker)
  })
  socket.bind(ports[i], () => {
    if (++bound === sockets.length) console.log('{"type":"up"}')
  })
}
createServer((connection) => connection.end()).listen(ports[0])

function answer(asked: Socket, question: Question, asker: Mapped): void {
  const { id, by, copies } = question
  if (by === 'host' && question.asker === undefined) {
    const passedOn: Question = { ...question, afterMs: 0, asker }
    first?.send(JSON.stringify(passedOn), ports[0], other)
    return
  }
  const from = by === 'port' ? sockets.find((socket) => socket !== asked) : asked
  const text = JSON.stringify({ id, ...asker })
  const send = () => from?.send(text, asker.port, asker.host)
  send()
  for (let i = 1; i < copies; i++) setTimeout(send, i * COPY_MS)
}
