import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Encryption, network, type RemotePeer } from 'latica'
import { Process } from './process.fixture.ts'
import { Workspace } from './workspace.fixture.ts'

const PER_SECOND = 5_000
const FLOOD_MS = 3_000
const QUIET_MS = 1_500
const ROUNDS = 2
const SOCKETS = 512
/** Between two requests: the peer is a peer, not a benchmark. */
const PAUSE_MS = 3

test('under 5,000 first messages/s a session that exists keeps its latency within 3×', {
  timeout: 55_000,
}, async (t) => {
  const workspace = new Workspace(t, 'linked')
  const program = workspace.program(new URL('peer.fixture.ts', import.meta.url))
  const given = { cluster: 'flood', secret: 'flood', lan: false, storage: false }
  const env = workspace.environment('home')
  const target = new Process(t, 'target', [process.execPath, program, JSON.stringify(given)], {
    env,
  })
  const { peer, port } = await target.tells('up')
  const flood = startFlood(t, { peer, port })
  const remote = await meet(t, peer, port)
  await flood.tells('ready')

  await latencies(remote, QUIET_MS)
  const quiet: number[] = []
  const flooded: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    quiet.push(...(await latencies(remote, QUIET_MS)))
    const done = flood.ask('flood', 'flooded', { forMs: FLOOD_MS })
    flooded.push(...(await latencies(remote, FLOOD_MS)))
    const { sent, proved, answers } = await done
    t.diagnostic(`flood: ${sent} sent, ${proved} proved so far, drew ${JSON.stringify(answers)}`)
    assert.ok(sent >= (PER_SECOND * FLOOD_MS) / 1_000 - 100, `only ${sent} were sent`)
  }
  const [before, under] = [median(quiet), median(flooded)]
  const ratio = under / before
  t.diagnostic(`quiet: ${show(quiet)}; flooded: ${show(flooded)}; ratio ${ratio.toFixed(2)}`)
  assert.ok(ratio <= 3, `${ratio.toFixed(2)} times the latency`)
})

function startFlood(t: TestContext, target: { peer: string; port: number }): Process {
  const count = (PER_SECOND * FLOOD_MS * ROUNDS) / 1_000
  const given = { ...target, perSecond: PER_SECOND, count, sockets: SOCKETS }
  const program = fileURLToPath(new URL('flood.fixture.ts', import.meta.url))
  return new Process(t, 'flood', [
    ...[process.execPath, '--import', import.meta.resolve('tsx')],
    ...[program, JSON.stringify(given)],
  ])
}

async function meet(t: TestContext, peer: string, port: number): Promise<RemotePeer> {
  const socket = await network({
    clusterId: await Encryption.createClusterId('flood'),
    peers: [`latica://${peer}@127.0.0.1:${port}`],
    lan: false,
    storage: false,
  })
  t.after(() => socket.close())
  const room = await socket.subcluster({ sharedKey: await Encryption.createSharedKey('flood') })
  return new Promise((resolve) => room.on('#join', resolve))
}

/** Milliseconds of one request after the other. */
async function latencies(remote: RemotePeer, forMs: number): Promise<number[]> {
  const taken: number[] = []
  const endsAt = performance.now() + forMs
  while (performance.now() < endsAt) {
    const askedAt = performance.now()
    await remote.request('echo', 'hello')
    taken.push(performance.now() - askedAt)
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  return taken
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

function show(values: readonly number[]): string {
  const ms = (share: number) => quantile(values, share).toFixed(2)
  return `${values.length} requests, p50 ${ms(0.5)} ms, p95 ${ms(0.95)} ms, p99 ${ms(0.99)} ms`
}
