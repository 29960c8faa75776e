import type { Instant, PeerId, UnixMs } from '../src/core/io.ts'
import type { SessionPort } from '../src/core/session/port.ts'

/**
 * `receive-packets.ts <dist>`: how many published packets a second one core checks, stores, opens,
 * orders and delivers, how many of strangers' it checks and stores, and how many Ed25519 signatures
 * alone it verifies. A packet has two, and to a stranger one.
 */
export interface PacketRates {
  readonly sizeBytes: number
  readonly packetsPerS: readonly number[]
  readonly strangersPacketsPerS: readonly number[]
  readonly signaturesPerS: readonly number[]
}

type Providers = typeof import('../src/crypto/index.ts')
type Placing = typeof import('../src/core/overlay/placement.ts')
type Replicating = typeof import('../src/core/replication/replication.ts')
type Spreading = typeof import('../src/core/replication/spread/spread-messages.ts')
type Sealing = typeof import('../src/core/replication/packet-seal.ts')
type Keys = typeof import('../src/core/groups/subcluster-keys.ts')

const NEIGHBOUR = {
  peer: 'dd'.repeat(32) as PeerId,
  binding: new Uint8Array(32),
  isInitiator: false,
  path: 'direct',
  rttMs: 1,
  isDormant: false,
  isSilent: false,
} as SessionPort
const ROUNDS = 7
const PACKETS = 1000
const PAYLOAD_BYTES = 64

const load = (path: string) => import(new URL(path, process.argv[2]).href)
const { sodiumNative }: Providers = await load('crypto/index.js')
const { smallPlacement }: Placing = await load('core/overlay/placement.js')
const { Replication, STORED_PREFIXES }: Replicating = await load('core/replication/replication.js')
const { encodePacketMessage }: Spreading = await load('core/replication/spread/spread-messages.js')
const { sealPacket }: Sealing = await load('core/replication/packet-seal.js')
const { SubclusterKeys }: Keys = await load('core/groups/subcluster-keys.js')

const crypto = sodiumNative()
const everyoneKeepsAll = smallPlacement(() => 2)
const keys = new SubclusterKeys(crypto, new Uint8Array(32).fill(1), new Uint8Array(32).fill(2))
const author = crypto.signingKeyPair(new Uint8Array(32).fill(3))
const wall = Date.now() as UnixMs
const packets = Array.from({ length: PACKETS }, (_, i) => sealedPacket(i))
const message = new Uint8Array(45)
const signature = crypto.sign(author.privateKey, message)

receiveAll(true)
receiveAll(false)
verifyAll()
const packetsPerS: number[] = []
const strangersPacketsPerS: number[] = []
const signaturesPerS: number[] = []
for (let round = 0; round < ROUNDS; round++) {
  packetsPerS.push(perSecond(() => receiveAll(true)))
  strangersPacketsPerS.push(perSecond(() => receiveAll(false)))
  signaturesPerS.push(perSecond(verifyAll))
}
const sizeBytes = (packets[0]?.length ?? 1) - 1
const rates: PacketRates = { sizeBytes, packetsPerS, strangersPacketsPerS, signaturesPerS }
process.stdout.write(JSON.stringify(rates))

function sealedPacket(number: number): Uint8Array {
  const salt = new Uint8Array(Uint32Array.of(number, 0, 0).buffer)
  const createdS = Math.floor(wall / 1000)
  const payload = new Uint8Array(PAYLOAD_BYTES)
  const content = { event: 'news', lamport: 1, parents: [], payload }
  const draft = { ...content, createdS, lifeMinutes: 60, salt }
  const today = keys.at(createdS)
  if (today === undefined) throw new Error('a day was forgotten')
  const { bytes } = sealPacket(crypto, today, author, draft)
  return encodePacketMessage(bytes, undefined, false)
}

/** From one neighbour, which was asked for them. */
function receiveAll(isMember: boolean): void {
  let delivered = 0
  let stored = 0
  const random = { bytes: (length: number) => new Uint8Array(length) }
  const host = {
    placement: () => everyoneKeepsAll,
    now: () => at.now,
    meanStayMs: () => undefined,
    setGoals: () => {},
    isFellow: () => false,
    deliver: () => delivered++,
    mayBeMail: () => {},
    held: () => {},
    progress: () => {},
    store: () => stored++,
    requestSync: () => {},
    reject: (code: string) => {
      throw new Error(`a packet was rejected: ${code}`)
    },
  }
  const self = { ...author, peerId: 'ee'.repeat(32) as PeerId }
  const config = { crypto, random, author: self, cacheBytes: 16 * 1024 * 1024, host }
  const at = { now: 0 as Instant, wall }
  const replication = new Replication(config, at.now, wall)
  for (let i = 0; i < STORED_PREFIXES.length; i++) replication.loaded([], at)
  if (isMember) replication.subscribe('subcluster 1', keys, 'causal', at)
  replication.sessionUp(NEIGHBOUR, () => {}, at.now)
  for (const packet of packets) replication.message(NEIGHBOUR, packet, at)
  const expected = isMember ? PACKETS : 0
  if (delivered !== expected || stored < PACKETS)
    throw new Error(`${delivered} packets were delivered and ${stored} stored`)
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
