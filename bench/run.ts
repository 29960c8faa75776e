import { execFileSync } from 'node:child_process'
import { availableParallelism, loadavg } from 'node:os'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { type BundleSize, bundleSizes } from './bundle-size.ts'
import { resultOf } from './child.ts'
import { TRANSFER_BYTES } from './contenders/contender.ts'
import { importTimes } from './import-time.ts'
import type { MemoryUse } from './memory.ts'
import { Pair } from './pair.ts'
import type { PacketRates } from './receive-packets.ts'
import { measureRounds, rowOfLatency, rowOfThroughput } from './rounds.ts'
import { median, ratio } from './statistics.ts'
import { table } from './table.ts'

/**
 * `npm run bench [-- --against <dist>]`: what the built package costs, beside what it is built on and
 * what it competes with, in one run of under 90 s on loopback alone. With `--against`, another build
 * takes part. What limits each number: docs/benchmarks.md.
 */
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DIST = new URL('../dist/', import.meta.url).href
const FLOOR = 'node:dgram'
const RIVAL = 'secret-stream over UDX'
const CONTENDERS = [
  [FLOOR, 'dgram'],
  ['node:dgram, sealed', 'dgram-sealed'],
  [RIVAL, 'udx'],
  ['secret-stream over TCP', 'tcp'],
] as const
const LIMITS = `
What limits each (more in docs/benchmarks.md):
- 100 B on a core each: waking the other core, twice, and 25 µs of ours at either side; p99 is V8's
  collector, to which a request leaves 12 kB at either side.
- 100 B on one core: our own processor time, for the kernel's part is a tenth of it.
- stream: processor time at both ends. Node sends and receives one datagram a call, and sealing 1200 B
  takes 2 µs: "sealed" is the ceiling for anything over node:dgram. UDX is C that calls sendmmsg, and
  secret-stream seals 64 KiB at a time.
- packets: two Ed25519 signatures each, one of a stranger's.
- import: nothing but the facade; the peer's modules load with the first \`network()\`.
- session: over a hundred small objects, a quarter of it keys in buffers. Bundle: libsodium.`
const REQUESTS = 500
const WARM_UP_REQUESTS = 2_000
const LATENCY_ROUNDS = 9
const STREAM_ROUNDS = 7

const { against } = parseArgs({ options: { against: { type: 'string' } } }).values
const builds: (readonly [name: string, dist: string])[] = [['latica', DIST]]
if (against !== undefined) builds.push(['latica, other', `${pathToFileURL(against).href}/`])

execFileSync('node_modules/.bin/tsc', ['-b'], { cwd: ROOT, stdio: 'inherit' })
console.log(`Node ${process.version}, ${availableParallelism()} cores, load ${load()}`)
const pairs = await startPairs()
try {
  await compareLatency(only(FLOOR, ...builds.map(([name]) => name)))
  await compareStreams(pairs)
} finally {
  for (const pair of pairs.values()) pair.stop()
}
const rates = await resultOf<PacketRates>('receive-packets.ts', DIST)
const memory = await resultOf<MemoryUse>('memory.ts', DIST, '--expose-gc')
printRest(rates, memory, await bundleSizes(DIST))
console.log(LIMITS)
console.log(`\nload ${load()}, ${(performance.now() / 1000).toFixed(0)} s`)

async function startPairs(): Promise<Map<string, Pair>> {
  const started = new Map<string, Pair>()
  for (const [name, contender] of CONTENDERS) started.set(name, await Pair.start(contender, DIST))
  for (const [name, dist] of builds) started.set(name, await Pair.start('latica', dist))
  return started
}

function only(...names: string[]): Map<string, Pair> {
  return new Map([...pairs].filter(([name]) => names.includes(name)))
}

/** Twice: with the processes on a core each, where waking the other one is most of it, and on one. */
async function compareLatency(contenders: ReadonlyMap<string, Pair>): Promise<void> {
  const ask = { type: 'ask', sizeBytes: 100 } as const
  await measureRounds(contenders, 1, { ...ask, count: WARM_UP_REQUESTS })
  for (const client of ['1', '0']) {
    const isPinned = [...contenders.values()].every((pair) => pair.pin('0', client))
    const results = await measureRounds(contenders, LATENCY_ROUNDS, { ...ask, count: REQUESTS })
    const floor = results.find(({ name }) => name === FLOOR)
    const place = client === '0' ? 'both processes on one core' : 'a core each'
    const title = `100 B there and back, ${isPinned ? place : 'not bound to cores'}`
    const head = [title, 'p50 µs', 'p99 µs', 'CPU µs', 'p50 ratio']
    print(
      head,
      results.map((result) => rowOfLatency(result, floor ?? result)),
    )
  }
  const cores = `0-${availableParallelism() - 1}`
  for (const pair of contenders.values()) pair.pin(cores, cores)
}

async function compareStreams(contenders: ReadonlyMap<string, Pair>): Promise<void> {
  const transfer = { type: 'transfer' } as const
  await measureRounds(contenders, 2, transfer)
  const results = await measureRounds(contenders, STREAM_ROUNDS, transfer)
  const rival = results.find(({ name }) => name === RIVAL)
  const head = [`stream of ${TRANSFER_BYTES >> 20} MiB`, 'MB/s', 'CPU s/GB', 'speed ratio']
  print(
    head,
    results.map((result) => rowOfThroughput(result, TRANSFER_BYTES, rival ?? result)),
  )
}

function printRest(rates: PacketRates, memory: MemoryUse, bundles: readonly BundleSize[]): void {
  const { packetsPerS, strangersPacketsPerS, signaturesPerS } = rates
  const { importMs, startMs } = importTimes(ROOT)
  const kB = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`
  print(
    ['alone', 'measured', 'goal'],
    [
      [
        `packets of ${rates.sizeBytes} B verified, stored and delivered on one core`,
        `${perS(packetsPerS)}/s`,
        '8000/s',
      ],
      ['… of strangers, verified and stored', `${perS(strangersPacketsPerS)}/s`, ''],
      ['Ed25519 signatures verified', `${perS(signaturesPerS)}/s`, ''],
      [
        'of which two a packet take',
        `${(200 * ratio(packetsPerS, signaturesPerS)).toFixed(0)} %`,
        '',
      ],
      ["import('latica')", `${median(importMs).toFixed(0)} ms`, '60 ms'],
      ['… and a peer opened and closed', `${median(startMs).toFixed(0)} ms`, ''],
      ['memory of an idle session, one side', kB(memory.sessionBytes), '8 kB'],
      ['memory of a simulated peer without sessions', kB(memory.peerBytes), '60 kB'],
      ...bundles.map(({ what, minifiedBytes, gzipBytes }) => [
        `browser bundle: ${what}`,
        `${kB(gzipBytes)} gzip, ${kB(minifiedBytes)} minified`,
        '',
      ]),
    ],
  )
}

function print(head: readonly string[], rows: readonly (readonly string[])[]): void {
  console.log(`\n${table(head, rows)}`)
}

function perS(rates: readonly number[]): string {
  return median(rates).toFixed(0)
}

function load(): string {
  return (loadavg()[0] ?? 0).toFixed(1)
}
