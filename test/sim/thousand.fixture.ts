import { distanceOf, pointOf } from '../../src/core/overlay/id-space.ts'
import type { Link, SimPeer, World } from '../../src/sim/index.ts'
import { CLUSTER_ID } from './subcluster.fixture.ts'

/** A network too large for everyone to know everyone, and whether it holds together. */
export interface Shape {
  /** Sessions of a peer, the fewest first. */
  readonly sessions: readonly number[]
  /** Of the 16 nearest ids to each peer, the part it has sessions with. */
  readonly nearShare: number
  /** Peers that can be reached from the first over sessions. */
  readonly reached: number
}

const NEAR = 16
const BOOTSTRAPS = 4

/** They come one after the other, over lines of 5 to 50 ms, and each knows the addresses of the first few. */
export function joinAll(
  net: World,
  count: number,
  withinMs: number,
  comes: (peer: SimPeer, line: Link) => void = () => {},
): readonly SimPeer[] {
  const peers: SimPeer[] = []
  const lines = net.random.fork('lines')
  for (let i = 0; i < count; i++) {
    const bootstrap = peers.slice(0, BOOTSTRAPS).map(({ host }) => host)
    const line = net.addLink({ latencyMs: 5 + lines.below(46) })
    const peer = net.addPeer({ clusterId: CLUSTER_ID, bootstrap, link: line })
    peers.push(peer)
    comes(peer, line)
    net.run(withinMs / count)
  }
  return peers
}

export function shapeOf(peers: readonly SimPeer[]): Shape {
  const neighbours = new Map(peers.map((peer) => [peer.peerId, neighboursOf(peer)]))
  const sessions = [...neighbours.values()].map(({ size }) => size).sort((a, b) => a - b)
  const points = peers.map(({ peerId }) => ({ peerId, point: pointOf(peerId) }))
  let met = 0
  for (const { peerId, point } of points) {
    const near = points
      .map((other) => ({ peerId: other.peerId, distance: distanceOf(other.point, point) }))
      .sort((a, b) => a.distance - b.distance)
      .slice(1, NEAR + 1)
    met += near.filter((other) => neighbours.get(peerId)?.has(other.peerId)).length
  }
  const reached = new Set<string>()
  const open: string[] = peers.slice(0, 1).map(({ peerId }) => peerId)
  for (let peer = open.pop(); peer !== undefined; peer = open.pop()) {
    if (reached.has(peer)) continue
    reached.add(peer)
    open.push(...(neighbours.get(peer as SimPeer['peerId']) ?? []))
  }
  return { sessions, nearShare: met / (NEAR * peers.length), reached: reached.size }
}

export function describe({ sessions, nearShare, reached }: Shape): string {
  const median = sessions[sessions.length >> 1]
  return (
    `sessions of a peer: ${sessions[0]} to ${sessions.at(-1)}, median ${median}; ` +
    `${(100 * nearShare).toFixed(1)} % of the ${NEAR} nearest; ${reached} reached`
  )
}

function neighboursOf(peer: SimPeer): Set<SimPeer['peerId']> {
  const { sessions } = peer.snapshot()
  return new Set(sessions.filter(({ state }) => state === 'up').map((session) => session.peer))
}
