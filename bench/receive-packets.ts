import type { Instant, PeerId, UnixMs } from '../src/core/io.ts'

/**
 * `receive-packets.ts <dist>`: how many published packets a second one core checks, opens, orders and
 * delivers, and how many Ed25519 signatures alone it verifies. Every packet has two.
 */
export interface PacketRates {
  readonly sizeBytes: number
  readonly packetsPerS: readonly number[]
  readonly signaturesPerS: readonly number[]
}

type Providers = typeof import('../src/crypto/index.ts')
type Replicating = typeof import('../src/core/replication/replication.ts')
type Sealing = typeof import('../src/core/replication/packet-seal.ts')
type Keys = typeof import('../src/core/groups/subcluster-keys.ts')

const ROUNDS = 7
const PACKETS = 1000
const PAYLOAD_BYTES = 64

const load = (path: string) => import(new URL(path, process.argv[2]).href)
const { sodiumNative }: Providers = await load('crypto/index.js')
const { Replication }: Replicating = await load('core/replication/replication.js')
const { sealPacket }: Sealing = await load('core/replication/packet-seal.js')
const { SubclusterKeys }: Keys = await load('core/groups/subcluster-keys.js')

const crypto = sodiumNative()
const keys = new SubclusterKeys(crypto, new Uint8Array(32).fill(1), new Uint8Array(32).fill(2))
const author = crypto.signingKeyPair(new Uint8Array(32).fill(3))
const wall = Date.now() as UnixMs
const packets = Array.from({ length: PACKETS }, (_, i) => sealedPacket(i))
const message = new Uint8Array(45)
const signature = crypto.sign(author.privateKey, message)

receiveAll()
verifyAll()
const packetsPerS: number[] = []
const signaturesPerS: number[] = []
for (let round = 0; round < ROUNDS; round++) {
  packetsPerS.push(perSecond(receiveAll))
  signaturesPerS.push(perSecond(verifyAll))
}
const rates: PacketRates = { sizeBytes: packets[0]?.length ?? 0, packetsPerS, signaturesPerS }
process.stdout.write(JSON.stringify(rates))

function sealedPacket(number: number): Uint8Array {
  const salt = new Uint8Array(Uint32Array.of(number, 0, 0).buffer)
  const createdS = Math.floor(wall / 1000)
  const payload = new Uint8Array(PAYLOAD_BYTES)
  const content = { event: 'news', lamport: 1, parents: [], payload }
  const draft = { ...content, createdS, lifeMinutes: 60, salt }
  return sealPacket(crypto, keys.at(createdS), author, draft).bytes
}

function receiveAll(): void {
  let delivered = 0
  const replication = new Replication({
    crypto,
    author,
    spread: { spread: () => {} },
    deliver: () => delivered++,
    reject: (code) => {
      throw new Error(`a packet was rejected: ${code}`)
    },
  })
  replication.subscribe(1, keys)
  const origin = { peer: '' as PeerId, isRelayed: false }
  for (const packet of packets) replication.receivePacket(packet, origin, 0 as Instant, wall)
  if (delivered !== PACKETS) throw new Error(`${delivered} packets were delivered`)
}

function verifyAll(): void {
  for (let i = 0; i < PACKETS; i++)
    if (!crypto.verify(author.publicKey, message, signature)) throw new Error('not authentic')
}

function perSecond(all: () => void): number {
  const start = performance.now()
  all()
  return (1000 * PACKETS) / (performance.now() - start)
}
