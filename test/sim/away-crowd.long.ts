import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimPeer, World } from '../../src/sim/index.ts'
import { table } from '../../src/sim/report.ts'
import {
  addMember,
  bytesOf,
  CLUSTER_ID,
  isDone,
  join,
  publish,
  send,
  textsOf,
  world,
} from './subcluster.fixture.ts'
import { joinAll } from './thousand.fixture.ts'

/**
 * `away.test.ts` in a network so large that only custodians keep what is published: all members leave,
 * a quarter of the strangers is replaced, and then one member comes back and a new one comes.
 */
const STRANGERS = Number(process.env['LATICA_PEERS'] ?? 260)
const MEMBERS = 40
const NEWS = 40
const JOIN_MS = 20_000
const SETTLE_MS = 30_000
const AWAY_MS = 600_000
const READ_MS = 60_000
const REPLACED = 0.25

test(`${MEMBERS} members write and leave, and ${STRANGERS} strangers keep it for who comes back`, (t) => {
  const net = world({ seed: 'away', defaultLink: { latencyMs: 20, lossRate: 0.01 } })
  const strangers = [...joinAll(net, STRANGERS, JOIN_MS)]
  const members = Array.from({ length: MEMBERS }, () => {
    const member = addMember(net, { bootstrap: strangers.slice(0, 4) })
    net.run(JOIN_MS / MEMBERS)
    return member
  })
  net.run(SETTLE_MS)
  const [reader, ...authors] = members
  assert.ok(reader)
  reader.host.stop()
  net.run(5_000)
  for (let i = 0; i < NEWS; i++) publish(authors[i % authors.length] ?? reader, i, `news ${i}`)
  for (const [i, author] of authors.entries())
    send(author, NEWS, reader, 'note', bytesOf(`letter ${i}`))
  const areDone = () => authors.every((author) => isDone(author, NEWS))
  net.runUntil(areDone, 30_000)
  net.run(5_000)
  for (const author of authors) author.host.stop()
  const kept = strangers.map((peer) => peer.snapshot().counters['packetsKept'] ?? 0)
  replace(net, strangers)
  net.run(AWAY_MS)
  const rows = [
    ['packets a stranger keeps, mean', (sum(kept) / kept.length).toFixed(1)],
    ['of', NEWS + authors.length],
  ]
  const startedAt = net.nowMs
  const newcomer = addMember(net, { bootstrap: strangers.slice(0, 4) })
  reader.host.restart()
  join(reader)
  const readAfter = (peer: SimPeer, type: 'packet' | 'message', count: number): string => {
    const has = () => new Set(textsOf(peer, type)).size
    while (has() < count && net.nowMs - startedAt < READ_MS) net.run(50)
    return has() < count ? `${has()} only` : `${net.nowMs - startedAt} ms`
  }
  rows.push(['who comes back reads the news after', readAfter(reader, 'packet', NEWS)])
  rows.push(['a newcomer reads the news after', readAfter(newcomer, 'packet', NEWS)])
  rows.push(['letters are read after', readAfter(reader, 'message', authors.length)])
  t.diagnostic(`\n${table(['what', 'measured'], rows)}`)
  assert.ok(
    sum(kept) < 0.5 * kept.length * (NEWS + authors.length),
    'not everyone keeps everything',
  )
  assert.equal(new Set(textsOf(reader, 'packet')).size, NEWS)
  assert.equal(new Set(textsOf(newcomer, 'packet')).size, NEWS)
  assert.equal(new Set(textsOf(reader, 'message')).size, authors.length)
})

/** Some leave without a word, and as many come. */
function replace(net: World, strangers: SimPeer[]): void {
  const count = Math.floor(REPLACED * strangers.length)
  for (const stranger of strangers.splice(4, count)) stranger.host.crash()
  const bootstrap = strangers.slice(0, 4).map(({ host }) => host)
  for (let i = 0; i < count; i++) {
    strangers.push(net.addPeer({ clusterId: CLUSTER_ID, bootstrap }))
    net.run(1_000)
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0)
}
