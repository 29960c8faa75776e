import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Process, type Told } from './process.fixture.ts'
import { Workspace } from './workspace.fixture.ts'

const PROCESSES = 4
const SHARE = 8
const CROWD = PROCESSES * SHARE
const PUBLISHES = 20
/** Guess: a second copy would have come by then. */
const DUPLICATES_MS = 500

interface Member {
  readonly peer: string
  readonly connected: readonly string[]
  /** Pairs of `author number` and how often it came. */
  readonly got: readonly (readonly [string, number])[]
}

test('32 real peers that know one of them all meet, and each publish reaches every other once', {
  timeout: 240_000,
}, async (t) => {
  const workspace = new Workspace(t, 'linked')
  const program = workspace.program(new URL('crowd.fixture.ts', import.meta.url))
  const start = (name: string, known?: number) => {
    const given = { share: SHARE, crowd: CROWD, publishes: PUBLISHES, known }
    const command = [process.execPath, '--expose-gc', program, JSON.stringify(given)]
    return new Process(t, name, command, { env: workspace.environment(name) })
  }
  const first = start('process 0')
  const { port } = await first.tells('up')
  const others = Array.from({ length: PROCESSES - 1 }, (_, i) => start(`process ${i + 1}`, port))
  const all = [first, ...others]
  await Promise.all(all.map((one) => one.tells('up')))
  const upAt = performance.now()
  await Promise.all(all.map((one) => one.tells('connected')))
  const connectedMs = performance.now() - upAt
  t.diagnostic(`all ${CROWD} connected: ${Math.round(connectedMs)} ms after the last was up`)

  const connected = await Promise.all(all.map((one) => one.ask('report', 'report')))
  t.diagnostic(`memory of a peer with ${CROWD - 1} sessions, by process: ${memory(connected)}`)

  const publishedAt = performance.now()
  for (const one of all) one.command('publish')
  await Promise.all(all.map((one) => one.tells('delivered')))
  const deliveries = CROWD * (CROWD - 1) * PUBLISHES
  t.diagnostic(`${deliveries} deliveries: ${Math.round(performance.now() - publishedAt)} ms`)
  await new Promise((resolve) => setTimeout(resolve, DUPLICATES_MS))

  const reports = await Promise.all(all.map((one) => one.ask('report', 'report')))
  t.diagnostic(`with ${CROWD * PUBLISHES} packets in it: ${memory(reports)}`)
  const members: Member[] = reports.flatMap(({ members }) => members)
  const peers = members.map(({ peer }) => peer)
  assert.equal(new Set(peers).size, CROWD)
  for (const { peer, connected, got } of members) {
    const others = peers.filter((other) => other !== peer)
    assert.deepEqual([...connected].sort(), [...others].sort())
    const expected = others.flatMap((author) =>
      Array.from({ length: PUBLISHES }, (_, number) => [`${author} ${number}`, 1]),
    )
    assert.deepEqual(new Map(got), new Map(expected as [string, number][]))
  }
  for (const { told } of all)
    assert.deepEqual(
      told.filter(({ type }) => type === 'error'),
      [],
    )
})

function memory(reports: readonly Told[]): string {
  const kB = (i: number) =>
    reports.map(({ bytesPerPeer }) => Math.round(bytesPerPeer[i] / 1000)).join(', ')
  return `${kB(0)} kB in use, ${kB(1)} kB resident`
}
