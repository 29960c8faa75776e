import { execFileSync } from 'node:child_process'
import { SOCKET_SCRATCH } from '../core/io.ts'
import { openUdp } from './udp.ts'

/**
 * A process with one transport. Without arguments it closes on a line from standard input; with
 * `addresses` it changes the machine's own and prints what the transport tells, of a scratch socket
 * too; with `sockets` it opens more scratch sockets than it may have files and prints how many it got.
 */
const transport = await openUdp({ lan: false })

if (process.argv[2] === 'addresses') {
  const ip = (...words: string[]) => execFileSync('ip', words)
  const changes = [
    () => {
      transport.bind(SOCKET_SCRATCH)
      ip('link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1')
      ip('link', 'set', 'd1', 'up')
      ip('address', 'add', '10.9.8.7/24', 'dev', 'd0')
      ip('link', 'set', 'd0', 'up')
    },
    () => {
      ip('link', 'del', 'd0')
      ip('link', 'set', 'lo', 'down')
    },
    () => transport.close(),
  ]
  transport.open({
    datagram: () => {},
    socket: (socket, state, addresses) => {
      process.stdout.write(`${[socket, state, ...addresses.map((each) => each.host)].join(' ')}\n`)
      if (socket < SOCKET_SCRATCH) setImmediate(() => changes.shift()?.())
    },
    portMapping: () => {},
  })
} else if (process.argv[2] === 'sockets') {
  const states: string[] = []
  transport.open({
    datagram: () => {},
    socket: (socket, state) => {
      if (socket >= SOCKET_SCRATCH) states.push(state)
    },
    portMapping: () => {},
  })
  for (let n = 0; n < Number(process.argv[3]); n++) transport.bind(SOCKET_SCRATCH + n)
  setImmediate(() => {
    const [up, down] = ['up', 'down'].map((state) => states.filter((each) => each === state).length)
    process.stdout.write(`${up} up, ${down} down\n`)
    transport.close()
  })
} else {
  transport.open({ datagram: () => {}, socket: () => {}, portMapping: () => {} })
  process.stdout.write('open\n')
  process.stdin.once('data', () => {
    transport.close()
    process.stdin.destroy()
  })
}
