import { execFileSync } from 'node:child_process'
import { openUdp } from './udp.ts'

/**
 * A process with one transport. Without arguments it closes on a line from standard input; with
 * `addresses` it changes the machine's own and prints what the transport tells.
 */
const transport = await openUdp({ lan: false })

if (process.argv[2] === 'addresses') {
  const ip = (...words: string[]) => execFileSync('ip', words)
  const changes = [
    () => {
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
      setImmediate(() => changes.shift()?.())
    },
  })
} else {
  transport.open({ datagram: () => {}, socket: () => {} })
  process.stdout.write('open\n')
  process.stdin.once('data', () => {
    transport.close()
    process.stdin.destroy()
  })
}
