import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { MALFORMED } from '../../src/core/errors.ts'
import type { PeerId } from '../../src/core/io.ts'
import { mac1 } from '../../src/core/session/cookie.ts'
import {
  encodeInitiatorHello,
  RUN_BYTES,
  TRANSPORT_ID_BYTES,
} from '../../src/core/session/handshake-payload.ts'
import { Identity, publicKeyOf } from '../../src/core/session/identity.ts'
import { NoiseHandshake } from '../../src/core/session/noise.ts'
import { ascii, concat } from '../../src/core/wire/bytes.ts'
import {
  COOKIE_BYTES,
  cidBytes,
  decodeHandshake,
  encodeInitiateIk,
  encodeInitiateXx,
  PROTOCOL_VERSION,
} from '../../src/core/wire/datagram.ts'
import { systemRandom } from '../../src/crypto/random.ts'
import { sodiumNative } from '../../src/crypto/sodium-native.ts'

/**
 * The programme that floods one peer with first messages, each of them valid and its own: half IK,
 * half XX, from many ports of many networks of 127.0.0.0/8. One sender in seven returns the cookie that it
 * is given, which is more than a peer admits of those that prove their addresses. Run from source, because what it uses is not published.
 */
const { port, peer, perSecond, count, sockets: socketCount } = JSON.parse(process.argv[2] ?? '{}')
const TICK_MS = 5
/** Odd, so that both kinds of messages are among them. */
const PROVING_EVERY = 7

const crypto = sodiumNative()
const random = systemRandom()
const remote = crypto.agreementPublicKey(publicKeyOf(peer as PeerId)) ?? new Uint8Array(32)

function tell(type: string, fields: object = {}): void {
  console.log(JSON.stringify({ type, ...fields }))
}

/** Enough to be many; making one for each message would take longer than the flood. */
const identities = Array.from(
  { length: 64 },
  () => new Identity(crypto, crypto.signingKeyPair(random.bytes(32))),
)

/** A first message that takes a cookie. */
type Opening = (cookie: Uint8Array) => Uint8Array

function makeOpening(source: number): Opening {
  const isIk = source % 2 === 0
  const identity = identities[source % identities.length]
  if (identity === undefined) throw new Error('no identity')
  const noise = new NoiseHandshake({
    crypto,
    pattern: isIk ? 'IK' : 'XX',
    role: 'initiator',
    prologue: concat(ascii('latica'), Uint8Array.of(PROTOCOL_VERSION), cidBytes(source)),
    staticKeys: identity.agreement,
    ephemeral: crypto.agreementKeyPair(random.bytes(32)),
    ...(isIk && { remoteStatic: remote }),
  })
  if (!isIk) {
    const message = noise.write(new Uint8Array(0))
    return (cookie) => encodeInitiateXx(source, message, cookie)
  }
  const hello = encodeInitiatorHello(
    identity.publicKey,
    random.bytes(RUN_BYTES),
    random.bytes(TRANSPORT_ID_BYTES),
  )
  const message = noise.write(hello)
  const mac = (covered: Uint8Array) => mac1(crypto, remote, covered)
  return (cookie) => encodeInitiateIk(source, message, mac, cookie)
}

const NO_COOKIE = new Uint8Array(COOKIE_BYTES)
const openings = Array.from({ length: count }, (_, i) => makeOpening(i + 1))
const answers: Record<string, number> = {}
let proved = 0

async function openSocket(index: number): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(0, `127.${1 + (index >> 8)}.${index & 255}.1`)
  await once(socket, 'listening')
  socket.on('message', (data) => {
    const answer = decodeHandshake(data)
    if (answer === MALFORMED) return
    answers[answer.type] = (answers[answer.type] ?? 0) + 1
    if (answer.type !== 'cookie' || answer.destination % PROVING_EVERY > 0) return
    const opening = openings[answer.destination - 1]
    if (opening === undefined) return
    proved++
    socket.send(opening(answer.cookie), port, '127.0.0.1')
  })
  return socket
}

const sockets: Socket[] = []
for (let i = 0; i < socketCount; i++) sockets.push(await openSocket(i))
tell('ready')

let next = 0
for await (const line of createInterface({ input: process.stdin })) {
  const { command, forMs } = JSON.parse(line)
  if (command !== 'flood') break
  const startedAt = performance.now()
  const from = next
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsedMs = performance.now() - startedAt
      const due = from + Math.floor((Math.min(elapsedMs, forMs) / 1000) * perSecond)
      for (; next < due && next < openings.length; next++) {
        const message = openings[next]?.(NO_COOKIE) ?? NO_COOKIE
        sockets[next % sockets.length]?.send(message, port, '127.0.0.1')
      }
      if (elapsedMs < forMs) return
      clearInterval(timer)
      resolve()
    }, TICK_MS)
  })
  tell('flooded', { sent: next - from, proved, answers })
}
process.exit(0)
