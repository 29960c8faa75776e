import { createSocket } from 'node:dgram'
import type { LocalAddress } from '../../core/io.ts'
import { plain } from '../udp-socket.ts'

/** Where UPnP devices listen (UPnP Device Architecture 1.1 §1.3.2). */
export const SSDP_GROUP: LocalAddress = { host: '239.255.255.250', port: 1900 }

/**
 * The first version is answered by devices of the second as well (UPnP Device Architecture 1.1
 * §1.3.2), but not by all of them.
 */
const TARGETS = [1, 2].map(
  (version) => `urn:schemas-upnp-org:device:InternetGatewayDevice:${version}`,
)
/** Multicast is lost more than unicast is, on wireless links above all. */
const REPEAT_MS = 500
/** Within which devices answer: `MX` is in whole seconds, and 1 the least. */
const MX_S = 1
/** UPnP Device Architecture 1.1 §1.3.2: within one datagram of 1,500 bytes, as a rule. */
const ANSWER_BYTES_MAX = 2_048

/**
 * Calls `found` with each description that an Internet gateway on the link of `from` tells of, until
 * `signal` aborts, which it must. Only of itself can a device tell: nobody points us elsewhere.
 */
export function searchGateways(
  from: string,
  group: LocalAddress,
  signal: AbortSignal,
  found: (description: URL) => void,
): void {
  if (signal.aborted) return
  const socket = createSocket({ type: 'udp4' })
  let timer: NodeJS.Timeout | undefined
  const close = () => {
    clearInterval(timer)
    signal.removeEventListener('abort', end)
    socket.close()
  }
  let isOver = false
  const end = () => {
    if (!isOver) close()
    isOver = true
  }
  signal.addEventListener('abort', end)
  socket.on('error', end)
  socket.on('message', (data, { address }) => {
    const description = isOver ? undefined : readAnswer(plain(data), address)
    if (description !== undefined) found(description)
  })
  const search = () => {
    for (const target of TARGETS) socket.send(question(target), group.port, group.host, () => {})
  }
  socket.bind({ port: 0, address: from, exclusive: true }, () => {
    if (isOver) return
    try {
      socket.setMulticastInterface(from)
    } catch {
      // The system chooses the link then.
    }
    search()
    timer = setInterval(search, REPEAT_MS)
  })
}

/** Where a device of that address says that its description is. */
export function readAnswer(data: Uint8Array, sender: string): URL | undefined {
  if (data.length > ANSWER_BYTES_MAX) return undefined
  const [status = '', ...lines] = Buffer.from(data).toString('latin1').split('\r\n')
  if (!/^HTTP\/1\.[01] 200\b/.test(status)) return undefined
  const header = (name: string) =>
    lines
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim()
  const location = header('location') ?? ''
  if (!TARGETS.includes(header('st') ?? '') || !URL.canParse(location)) return undefined
  const url = new URL(location)
  return url.protocol === 'http:' && url.hostname === sender ? url : undefined
}

function question(target: string): string {
  const lines = [
    'M-SEARCH * HTTP/1.1',
    `HOST: ${SSDP_GROUP.host}:${SSDP_GROUP.port}`,
    'MAN: "ssdp:discover"',
    `MX: ${MX_S}`,
    `ST: ${target}`,
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}
