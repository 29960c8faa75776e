import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANN, BOB, scriptedSocket, settled } from '../api/scripted-host.fixture.ts'
import type { NatVector } from '../core/io.ts'
import { UNKNOWN_NAT } from '../core/nat/vector.ts'
import { printerTo } from './printer.ts'
import { keptTeller, report } from './up.ts'

test('up says what it is behind once that is known, and again only when it changes', async () => {
  const { host, socket } = scriptedSocket()
  let out = ''
  report(
    socket,
    printerTo((text) => {
      out += text
    }, false),
  )
  const seen = async (nat: NatVector) => {
    host.snapshotNow = { ...host.snapshotNow, nat }
    host.emit({ type: 'nat', nat })
    await settled()
    return out.split('\n').filter((line) => line.startsWith('nat '))
  }
  assert.deepEqual(await seen(UNKNOWN_NAT), [])
  const eim: NatVector = { ...UNKNOWN_NAT, mapping: 'endpoint-independent' }
  assert.match((await seen(eim)).join(), /^nat {5}Behind a router that keeps one address/)
  assert.equal((await seen({ ...eim, hairpin: true })).length, 1, 'the sentence is the same')
  const edm: NatVector = { ...UNKNOWN_NAT, mapping: 'endpoint-dependent' }
  assert.match((await seen(edm)).at(-1) ?? '', /another port for every remote/)
  await socket.close()
})

test('up names the path of each peer that connects', () => {
  const { host, socket } = scriptedSocket()
  let out = ''
  report(
    socket,
    printerTo((text) => {
      out += text
    }, true),
  )
  host.emit({ type: 'connection', peer: ANN, path: 'relayed' })
  host.emit({ type: 'connection', peer: BOB, path: 'direct' })
  const lines = out.trim().split('\n')
  const paths = lines.map((line) => JSON.parse(line)).filter(({ type }) => type === 'connection')
  assert.deepEqual(
    paths.map(({ peerId, path }) => [peerId, path]),
    [
      [ANN, 'relayed'],
      [BOB, 'direct'],
    ],
  )
})

test('up tells what it keeps for others: programmes each change, people once a minute', async () => {
  for (const json of [true, false]) {
    const { host, socket } = scriptedSocket()
    const lines: string[] = []
    let now = 0
    const tell = keptTeller(
      socket,
      printerTo((text) => void lines.push(text), json),
      () => now,
    )
    for (const [packetsKept, cacheBytes] of [
      [0, 0],
      [2, 700],
      [2, 700],
      [3, 1_500],
    ]) {
      const counters = { packetsKept: packetsKept ?? 0, cacheBytes: cacheBytes ?? 0 }
      host.snapshotNow = { ...host.snapshotNow, counters }
      tell()
      now += 1_000
    }
    if (json)
      assert.deepEqual(
        lines.map((line) => JSON.parse(line).packets),
        [2, 3],
      )
    else assert.deepEqual(lines, ['keeping 2 packets of others, 700 B\n'])
    await socket.close()
  }
})
