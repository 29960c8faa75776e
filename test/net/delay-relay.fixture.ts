import { createSocket } from 'node:dgram'

/**
 * The programme that passes on the packets of delayed cables, late: VXLAN (RFC 7348) between the
 * internet and routers. A network identifier is a cable's number and, in its low bits, its delay.
 */
const VXLAN_PORT = 4789
/** Where the packet starts behind the headers of VXLAN and Ethernet. */
const PACKET_START = 8 + 14
const [inside = '', delayBits = ''] = process.argv.slice(1)
const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })

socket.on('message', (frame, { address }) => {
  const identifier = frame.readUIntBE(4, 3)
  const cable = identifier >> Number(delayBits)
  const delayMs = identifier & ((1 << Number(delayBits)) - 1)
  const internet = `${inside}.0.2`
  const to = address === internet ? `${inside}.${cable}.2` : internet
  completeChecksum(frame)
  setTimeout(() => socket.send(frame, VXLAN_PORT, to), delayMs)
})
socket.bind(VXLAN_PORT, () => console.log('{"type":"up"}'))

/**
 * The kernel leaves checksums to the network card, and there is none. UDP's may be zero, for none
 * (RFC 768); TCP's is computed (RFC 9293 section 3.1).
 */
function completeChecksum(frame: Buffer): void {
  if (frame.readUInt16BE(PACKET_START - 2) !== 0x0800) return
  const packet = frame.subarray(PACKET_START)
  const headerBytes = (packet.readUInt8(0) & 15) * 4
  const segment = packet.subarray(headerBytes, packet.readUInt16BE(2))
  const isFirstFragment = (packet.readUInt16BE(6) & 0x1fff) === 0
  const protocol = packet.readUInt8(9)
  if (protocol === 17 && isFirstFragment) segment.writeUInt16BE(0, 6)
  if (protocol !== 6) return
  segment.writeUInt16BE(0, 16)
  let sum = protocol + segment.length
  for (let i = 12; i < 20; i += 2) sum += packet.readUInt16BE(i)
  for (let i = 0; i + 1 < segment.length; i += 2) sum += segment.readUInt16BE(i)
  if (segment.length % 2 === 1) sum += segment.readUInt8(segment.length - 1) << 8
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  segment.writeUInt16BE(~sum & 0xffff, 16)
}
