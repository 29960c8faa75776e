import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SOCKET_IPV4 } from '../../core/io.ts'
import { openUdp } from '../udp.ts'
import { MappedTransport } from './mapped-transport.ts'

test('on loopback alone a transport works as without, maps nothing and closes at once', {
  timeout: 10_000,
}, async () => {
  const transport = new MappedTransport(await openUdp({ host: '127.0.0.1', lan: false }))
  const mappings: unknown[] = []
  const said = new Promise<string>((resolve) => {
    transport.open({
      datagram: (_from, data) => resolve(Buffer.from(data).toString()),
      socket: (socket, state, addresses) => {
        const [own] = addresses
        if (socket !== SOCKET_IPV4 || state !== 'up' || own === undefined) return
        transport.send({ kind: 'udp', socket, ...own }, Buffer.from('to myself'))
      },
      portMapping: (mapping) => mappings.push(mapping),
    })
  })
  assert.equal(await said, 'to myself')
  transport.close()
  await transport.released()
  assert.deepEqual(mappings, [])
})

test('closed by its receiver while it opens, a transport starts nothing', {
  timeout: 10_000,
}, async () => {
  const transport = new MappedTransport(await openUdp({ host: '127.0.0.1', lan: false }))
  transport.open({
    datagram: () => {},
    socket: () => transport.close(),
    portMapping: () => assert.fail('nothing is mapped'),
  })
  await transport.released()
  // As long as it takes to learn that loopback has no router, and then some.
  await new Promise((resolve) => setTimeout(resolve, 100))
  const timers = process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout')
  assert.deepEqual(timers, [], 'nothing keeps the process alive')
})
