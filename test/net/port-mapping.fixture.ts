import { createInterface } from 'node:readline'
import type { PortMappingProtocol } from '../../src/core/io.ts'
import { MappedTransport } from '../../src/node/port-mapping/mapped-transport.ts'
import { openUdp } from '../../src/node/udp.ts'

/**
 * A process with one transport, on the port given first, that asks its router by the protocols given
 * then, or else by any. It tells what was mapped and what arrives, and closes on the first line it reads.
 */
const [port, ...protocols] = process.argv.slice(2)
const tell = (told: object) => void process.stdout.write(`${JSON.stringify(told)}\n`)
const startedAt = performance.now()
const ms = () => Math.round(performance.now() - startedAt)

const udp = await openUdp({ port: Number(port), lan: false })
const wanted = protocols.length === 0 ? undefined : (protocols as PortMappingProtocol[])
const transport = new MappedTransport(udp, wanted)
transport.open({
  datagram: (from, data) =>
    tell({ type: 'datagram', from: from.host, text: Buffer.from(data).toString() }),
  socket: (socket, state) => tell({ type: 'socket', socket, state, ms: ms() }),
  portMapping: (mapping) =>
    tell({ type: mapping === undefined ? 'unmapped' : 'mapping', mapping, ms: ms() }),
})

const lines = createInterface({ input: process.stdin })
lines.once('line', async () => {
  lines.close()
  process.stdin.destroy()
  transport.close()
  await transport.released()
  tell({ type: 'closed' })
})
