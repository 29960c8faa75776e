/**
 * `memory.ts <dist>`, with --expose-gc: what a simulated peer holds, heap and external memory, and
 * what each session adds to it once it has been idle for a while.
 */
export interface MemoryUse {
  /** A peer that has met nobody, its simulated host included. */
  readonly peerBytes: number
  /** One side of a session. */
  readonly sessionBytes: number
}

type Sim = typeof import('../src/sim/index.ts')
type World = InstanceType<Sim['World']>
type Providers = typeof import('../src/crypto/index.ts')

const PEERS = 32
const MANY_PEERS = 160
const MEETING_MS = 60_000
/** Past several keepalives: what a session holds only while something is in flight is gone. */
const IDLE_MS = 300_000
const CLUSTER_ID = new Uint8Array(32).fill(1)

const load = (path: string) => import(new URL(path, process.argv[2]).href)
const { World }: Sim = await load('sim/index.js')
const { sodiumNative }: Providers = await load('crypto/index.js')

// All of it once before it counts, so that compiled code and what is made once is there already.
heldBy(populated(PEERS, true))
const few = heldBy(populated(PEERS, false))
const many = heldBy(populated(MANY_PEERS, false))
const met = heldBy(populated(PEERS, true))

const use: MemoryUse = {
  peerBytes: (many - few) / (MANY_PEERS - PEERS),
  sessionBytes: (met - few) / (PEERS * (PEERS - 1)),
}
process.stdout.write(JSON.stringify(use))

function populated(count: number, areMeeting: boolean): World {
  const world = new World({ seed: 1, crypto: sodiumNative() })
  for (let i = 0; i < count; i++)
    world.addPeer({ clusterId: CLUSTER_ID, bootstrap: areMeeting ? 'all' : [] })
  const hasMet = () => world.peers.every((peer) => peer.snapshot().sessions.length === count - 1)
  if (areMeeting) world.runUntil(hasMet, MEETING_MS)
  world.run(IDLE_MS)
  for (const peer of world.peers) peer.events.length = 0
  return world
}

function heldBy(world: World): number {
  for (let i = 0; i < 4; i++) globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  // Asked after the collection, which therefore spares the world.
  return world.peers.length === 0 ? Number.NaN : heapUsed + external
}
