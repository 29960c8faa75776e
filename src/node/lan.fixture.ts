import { LAN_HOST, SOCKET_IPV4, SOCKET_LAN } from '../core/io.ts'
import { openUdp } from './udp.ts'

/**
 * A process that beacons and answers others' beacons. Prints from where it was answered, and ends
 * when it has both answered and been answered.
 */
const BEACON_MS = 100
const GRACE_MS = 300

const transport = await openUdp()
const own = process.pid
let hasAnswered = false
let answeredBy: string | undefined

const read = (data: Uint8Array) => Buffer.from(data).toString()
const say = (host: string, port: number, text: string) =>
  transport.send({ kind: 'udp', socket: SOCKET_IPV4, host, port }, Buffer.from(text))

transport.open({
  socket: () => {},
  portMapping: () => {},
  datagram: (from, data) => {
    const [kind, pid] = read(data).split(' ')
    if (kind === 'beacon' && from.socket === SOCKET_LAN && Number(pid) !== own) {
      say(from.host, from.port, `answer ${own}`)
      hasAnswered = true
    }
    if (kind === 'answer' && from.socket === SOCKET_IPV4) answeredBy ??= from.host
    if (hasAnswered && answeredBy !== undefined) setTimeout(finish, GRACE_MS)
  },
})

const beacons = setInterval(() => say(LAN_HOST, 0, `beacon ${own}`), BEACON_MS)

function finish(): void {
  if (!beacons.hasRef()) return
  clearInterval(beacons.unref())
  transport.close()
  process.stdout.write(`answered by ${answeredBy}\n`)
}
