import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile, table } from '../../src/sim/report.ts'
import { count, counted, type Traffic } from './backbone.fixture.ts'
import { namespacesMissing } from './namespaces.fixture.ts'
import type { NatType, SiteOptions } from './nat-lab.fixture.ts'
import { type Acquainted, MeetingPlace, matrixReport, type Try } from './nat-matrix.fixture.ts'
import { FAULTS, Flow, pathsOf, SENDERS, Trial, untilPath } from './nat-scenarios.fixture.ts'

/** The suite's scenarios often enough to hold them to their numbers: an hour. */
const LIMIT = { timeout: 90 * 60_000, skip: namespacesMissing }
const PUBLIC_PEERS = 4
const TRIES = Number(process.env['LATICA_TRIES'] ?? 20)
const SEARCHES = Number(process.env['LATICA_TRIES'] ?? 50)
const DIRECT_WITHIN_MS = 8_000
const REACHED_WITHIN_MS = 5_000
/** Over a relay, unless the direct path is there first, as it is now and then. */
const AT_ONCE_MS = 300
const BACK_MS = 2_000
const WATCH_MS = 5_000
const LIFETIME_S = 20
const SHORT_SILENCE_MS = 24_000
const LONG_SILENCE_MS = 600_000
const HOUR_MS = 3_600_000
const PLACES = 5
const PAIRS_PER_PLACE = 4
/** Of each pair, so that a hundred messages end a silence. */
const SILENCES = 5
/** Goal: nothing lost. What arrives this late was lost once, and sent again. */
const PROMPT_MS = 1_000

describe('behind NATs of the kernel, often', { concurrency: 3 }, () => {
  for (const fault of FAULTS)
    test(`${fault.name} under traffic: talking again within 2 s`, LIMIT, async (t) => {
      const place = await opened(t)
      const rows: (string | number)[][] = []
      const late: string[] = []
      for (const senders of SENDERS) {
        const trial = new Trial(place, fault)
        const silences: number[] = []
        for (let n = 0; n < TRIES; n++) silences.push(await trial.silenceMs(senders, WATCH_MS))
        const [p50 = 0, p95 = 0, max = 0] = [50, 95, 100].map((each) => percentile(silences, each))
        rows.push([senders, silences.length, p50, p95, max])
        if (p95 > BACK_MS) late.push(`${senders}: ${p95} ms`)
      }
      const heading = ['who sends', 'tries', 'silent p50 ms', 'p95', 'max']
      t.diagnostic(`${fault.name}\n${table(heading, rows)}`)
      assert.deepEqual(late, [], 'p95 of silences')
    })

  test(
    'behind mappings of 20 s nothing is lost after silences of 24 s and 10 min',
    LIMIT,
    async (t) => {
      const delays: { short: number[]; long: number[] } = { short: [], long: [] }
      const costs: { readonly between: Traffic; readonly first: Traffic }[] = []
      await Promise.all(
        Array.from({ length: PLACES }, async () => {
          const place = await opened(t)
          const pairs = await quietPairs(place)
          for (let n = 0; n < SILENCES; n++) {
            await sleep(SHORT_SILENCE_MS)
            delays.short.push(...(await Promise.all(pairs.map((each) => each.say()))))
          }
          const [{ sites } = { sites: [] }] = pairs
          const [a, b] = sites.map(({ externalAddress }) => externalAddress)
          assert.ok(a !== undefined && b !== undefined)
          count(place.lab.internet, a, b)
          for (let n = 0; n < SILENCES; n++) {
            await sleep(LONG_SILENCE_MS)
            if (n === 0) costs.push(counted(place.lab.internet))
            delays.long.push(...(await Promise.all(pairs.map((each) => each.say()))))
          }
          for (const { ends } of pairs)
            assert.deepEqual(await pathsOf(ends), ['direct', 'direct'], 'never relayed')
        }),
      )
      const rows = Object.entries(delays).map(([name, all]) => [
        name,
        all.length,
        ...[50, 95, 100].map((each) => percentile(all, each)),
      ])
      const perHour = HOUR_MS / LONG_SILENCE_MS
      const hourly = (which: 'between' | 'first') =>
        (['datagrams', 'bytes'] as const).map((unit) =>
          Math.round(
            (perHour * costs.reduce((sum, each) => sum + each[which][unit], 0)) / costs.length,
          ),
        )
      t.diagnostic(`silences\n${table(['silence', 'messages', 'p50 ms', 'p95', 'max'], rows)}`)
      const costRows = [
        ['one session', ...hourly('between')],
        [`one peer with ${2 * PAIRS_PER_PLACE + PUBLIC_PEERS - 1} sessions`, ...hourly('first')],
      ]
      t.diagnostic(
        `an idle hour, both directions, IP headers included\n${table(['of', 'datagrams', 'bytes'], costRows)}`,
      )
      const slowest = Math.max(...delays.short, ...delays.long)
      assert.ok(slowest < PROMPT_MS, `one was under way for ${slowest} ms`)
    },
  )

  test('two NATs that count their ports are passed directly', LIMIT, async (t) => {
    const tries = await meetings(t, [{ nat: 'seq' }, { nat: 'seq' }], TRIES)
    const direct = tries.filter(({ directMs }) => directMs !== undefined)
    assert.ok(direct.length >= 0.9 * tries.length, `${direct.length} of ${tries.length} direct`)
  })

  for (const [arriving, standing] of [
    ['apdf', 'sym'],
    ['sym', 'apdf'],
  ] as const satisfies (readonly [NatType, NatType])[])
    test(`${arriving} finds ${standing}, and talks over a relay meanwhile`, LIMIT, async (t) => {
      const tries = await meetings(t, [{ nat: standing }, { nat: arriving }], SEARCHES)
      const direct = tries.flatMap(({ directMs }) => directMs ?? [])
      const heardAtOnce = tries.filter(({ answeredMs = Infinity }) => answeredMs <= AT_ONCE_MS)
      const medianMs = percentile(direct, 50)
      assert.ok(direct.length >= 0.98 * tries.length, `${direct.length} of ${tries.length} direct`)
      assert.ok(medianMs <= 1_500, `direct after ${medianMs} ms (median)`)
      assert.ok(heardAtOnce.length >= 0.98 * tries.length, `${heardAtOnce.length} heard at once`)
      const relayed = tries.filter(({ via }) => via === 'relayed')
      assert.ok(relayed.length >= 0.9 * tries.length, `${relayed.length} first heard over a relay`)
    })

  for (const nats of [
    ['apdf', 'apdf'],
    ['apdf', 'sym'],
    ['sym', 'sym'],
  ] as const)
    test(`${nats.join(' and ')} reach each other though 5 % are lost`, LIMIT, async (t) => {
      const [one, other] = nats.map((nat) => ({ nat, lossPercent: 5 }))
      assert.ok(one && other)
      await meetings(t, [one, other], TRIES)
    })
})

async function opened(t: TestContext): Promise<MeetingPlace> {
  const place = new MeetingPlace(t)
  await place.open(PUBLIC_PEERS)
  return place
}

/** Fresh peers of two sites meet, over and over; they have to reach each other every time. */
async function meetings(
  t: TestContext,
  [standing, arriving]: readonly [SiteOptions, SiteOptions],
  times: number,
): Promise<Try[]> {
  const place = await opened(t)
  const a = place.meeter(place.lab.site(standing).host)
  const b = place.meeter(place.lab.site(arriving).host)
  const isHopeless = standing.nat === 'sym' && arriving.nat === 'sym'
  const tries: Try[] = []
  while (tries.length < times) tries.push(await place.meet(a, b, isHopeless ? 0 : DIRECT_WITHIN_MS))
  t.diagnostic(`\n${matrixReport([{ standing: standing.nat, arriving: arriving.nat, tries }])}`)
  const missed = tries.filter(({ answeredMs = Infinity }) => answeredMs > REACHED_WITHIN_MS)
  assert.deepEqual(missed, [], 'reached within 5 s')
  return tries
}

/** Pairs with direct paths who say nothing but what `say` has them say, by turns. */
async function quietPairs(place: MeetingPlace) {
  const pairs = []
  for (let i = 0; i < PAIRS_PER_PLACE; i++) {
    const sites = [0, 1].map(() => place.lab.site({ nat: 'apdf', lifetimeS: LIFETIME_S }))
    const [one, other] = sites.map((site) => place.meeter(site.host))
    assert.ok(one && other)
    const ends = await place.acquaint(one, other, DIRECT_WITHIN_MS)
    await untilPath(ends, 'direct', DIRECT_WITHIN_MS)
    pairs.push({ sites, ends, say: byTurns(ends, i) })
  }
  return pairs
}

/** One message each time: how long it was under way. */
function byTurns({ a, b }: Acquainted, firstTurn: number): () => Promise<number> {
  const flows = [new Flow(a, b), new Flow(b, a)]
  let turn = firstTurn
  let said = 0
  return () => {
    const flow = flows[turn++ % 2]
    assert.ok(flow)
    return flow.say(Math.floor(said++ / 2))
  }
}
