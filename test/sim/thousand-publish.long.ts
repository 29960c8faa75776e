import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Link, SimPeer } from '../../src/sim/index.ts'
import { percentile, table } from '../../src/sim/report.ts'
import { join, publish, textOf, world } from './subcluster.fixture.ts'
import { joinAll } from './thousand.fixture.ts'

/** A subcluster of everyone in a network of a thousand, over paths of 10 to 100 ms. */
const PEERS = Number(process.env['LATICA_PEERS'] ?? 1_000)
const PACKETS = Number(process.env['LATICA_TRIES'] ?? 10)
const JOIN_MS = 20_000
const SETTLE_MS = 15_000
const EVERY_MS = 100
/** Sets are compared 5 s after something came at the earliest, but for a few by the clock. */
const WATCH_MS = 4_500
const REST_MS = 8_000

interface Spread {
  readonly reached: number
  readonly wanted: number
  readonly latenciesMs: readonly number[]
  readonly duplicates: number
}

test(`${PEERS} members hear what one of them publishes`, (t) => {
  const net = world({ seed: 'spread' })
  const chance = net.random.fork('spread')
  const lines: Link[] = []
  const peers = joinAll(net, PEERS, JOIN_MS, (peer, line) => {
    join(peer)
    lines.push(line)
  })
  net.run(SETTLE_MS)
  const publishedAt = new Map<string, number>()
  let latenciesMs: number[] = []
  for (const peer of peers)
    peer.onEvent((event) => {
      const at = event.type === 'packet' ? publishedAt.get(textOf(event.value)) : undefined
      if (at !== undefined) latenciesMs.push(net.nowMs - at)
    })
  const spread = (name: string): Spread => {
    const before = duplicatesOf(peers)
    const alive = peers.filter(({ host }) => host.isRunning)
    const endsAt = net.nowMs + WATCH_MS
    latenciesMs = []
    publishedAt.clear()
    for (let i = 0; i < PACKETS; i++) {
      const author = alive[chance.below(alive.length)]
      assert.ok(author)
      publishedAt.set(`${name} ${i}`, net.nowMs)
      publish(author, i, `${name} ${i}`)
      net.run(EVERY_MS)
    }
    net.run(endsAt - net.nowMs)
    const wanted = PACKETS * (alive.length - 1)
    // What comes later may come by comparing: it counts as not reached.
    const heard = [...latenciesMs]
    const duplicates = (duplicatesOf(peers) - before) / wanted
    net.run(REST_MS)
    return { reached: heard.length, wanted, latenciesMs: heard, duplicates }
  }
  const scenes: [string, Spread, number][] = []
  for (const line of lines) line.change({ lossRate: 0.01005 })
  scenes.push(['2 % loss', spread('two'), 1])
  for (const line of lines) line.change({ lossRate: 0.0513 })
  scenes.push(['10 % loss', spread('ten'), 0.999])
  for (const line of lines) line.change({ lossRate: 0.01005 })
  for (const peer of peers.filter((_, i) => i % 2 === 1)) peer.host.crash()
  scenes.push(['half of them dead', spread('dead'), 0.995])
  const ms = (spread: Spread, percent: number) =>
    Math.round(percentile(spread.latenciesMs, percent))
  const rows = scenes.map(([name, spread, goal]) => [
    name,
    `${(100 * (spread.reached / spread.wanted)).toFixed(2)} %`,
    `${100 * goal} %`,
    ms(spread, 50),
    ms(spread, 99),
    ms(spread, 100),
    spread.duplicates.toFixed(3),
  ])
  const heading = ['scene', 'reached', 'goal', 'p50 ms', 'p99', 'max', 'duplicates a delivery']
  t.diagnostic(`\n${table(heading, rows)}`)
  const [first] = scenes
  for (const [name, { reached, wanted }, goal] of scenes)
    assert.ok(reached >= goal * wanted && reached <= wanted, `${name}: ${reached} of ${wanted}`)
  assert.ok(first !== undefined && ms(first[1], 99) <= 450 && first[1].duplicates <= 0.25)
})

function duplicatesOf(peers: readonly SimPeer[]): number {
  let sum = 0
  for (const peer of peers)
    if (peer.host.isRunning) sum += peer.snapshot().counters['packetsDuplicate'] ?? 0
  return sum
}
