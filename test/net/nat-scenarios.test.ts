import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { namespacesMissing } from './namespaces.fixture.ts'
import type { NatType, Site } from './nat-lab.fixture.ts'
import {
  type Acquainted,
  type Cell,
  isHard,
  MeetingPlace,
  matrixReport,
  part,
  TYPES,
} from './nat-matrix.fixture.ts'
import { FAULTS, Flow, pathsOf, SENDERS, Trial, untilPath } from './nat-scenarios.fixture.ts'
import type { Process } from './process.fixture.ts'

/**
 * What happens to peers behind NATs of the kernel, once each; the long test counts. Every test has an
 * internet of its own, so that those who meet in one are strangers to all others.
 */
const LIMIT = { timeout: 120_000, skip: namespacesMissing }
const PUBLIC_PEERS = 4
const DIRECT_WITHIN_MS = 8_000
const REACHED_WITHIN_MS = 5_000
/** A pair that is to stay relayed is watched this long: past the first time that it tries again. */
const RELAYED_WATCH_MS = 6_000
/** The goal is 2 s, which the long test holds it to. */
const BACK_MS = 4_000
const WATCH_MS = 2_500
const LIFETIME_S = 20
const SILENCE_MS = 24_000
const PROMPT_MS = 1_000
/** Who guesses ports fails two times in a hundred. */
const TRIES = 3

// Most of their time is waiting.
describe('behind NATs of the kernel', { concurrency: true }, () => {
  test(
    'two hosts of one home and two homes of one carrier meet where they can',
    LIMIT,
    async (t) => {
      const place = await opened(t)
      for (const hairpin of [false, true])
        await t.test(
          `two hosts behind one NAT ${withHairpin(hairpin)} talk on LAN addresses`,
          async () => {
            const { hosts } = place.lab.site({ nat: 'apdf', hosts: 2, hairpin })
            const [one, other] = hosts.map((host) => place.meeter(host))
            assert.ok(one && other)
            const ends = await place.acquaint(one, other, DIRECT_WITHIN_MS)
            await untilPath(ends, 'lan', DIRECT_WITHIN_MS)
            await part(ends)
          },
        )
      await t.test(
        'two customers of one carrier without hairpin are relayed, and stay so',
        async () => {
          const ends = await place.acquaint(...customers(place, false), 0)
          assert.ok(isReached(ends), JSON.stringify(ends.met))
          await sleep(RELAYED_WATCH_MS)
          assert.deepEqual(await pathsOf(ends), ['relayed', 'relayed'])
          await part(ends)
        },
      )
      await t.test('two customers of one carrier with hairpin meet directly', async () => {
        const ends = await place.acquaint(...customers(place, true), DIRECT_WITHIN_MS)
        await untilPath(ends, 'direct', DIRECT_WITHIN_MS)
        await part(ends)
      })
    },
  )

  test(
    'after 24 s of silence behind mappings of 20 s a message arrives at once',
    LIMIT,
    async (t) => {
      const place = await opened(t)
      const meeter = () => place.meeter(place.lab.site({ nat: 'apdf', lifetimeS: LIFETIME_S }).host)
      const pairs = await Promise.all(
        [0, 1].map(() => place.acquaint(meeter(), meeter(), DIRECT_WITHIN_MS)),
      )
      for (const ends of pairs) await untilPath(ends, 'direct', DIRECT_WITHIN_MS)
      await sleep(SILENCE_MS)
      // In one pair who stood speaks first, in the other who arrived.
      const delays = await Promise.all(
        pairs.map(async ({ a, b }, i) => {
          const [first, second] = i === 0 ? [a, b] : [b, a]
          const [there, back] = [new Flow(first, second), new Flow(second, first)]
          return [await there.say(0), await back.say(0)]
        }),
      )
      for (const ends of pairs) assert.deepEqual(await pathsOf(ends), ['direct', 'direct'])
      const slowestMs = Math.max(...delays.flat())
      t.diagnostic(`under way for ${delays.map((pair) => pair.join(' and ')).join(', ')} ms`)
      assert.ok(slowestMs < PROMPT_MS, `one was under way for ${slowestMs} ms`)
    },
  )

  for (const fault of FAULTS)
    test(
      `${fault.name} under traffic: talking again soon, nothing lost or doubled`,
      LIMIT,
      async (t) => {
        const trial = new Trial(await opened(t), fault)
        for (const senders of SENDERS) {
          const silentMs = await trial.silenceMs(senders, WATCH_MS)
          t.diagnostic(`${senders} sent: silent for ${silentMs} ms`)
          assert.ok(silentMs <= BACK_MS, `silent for ${silentMs} ms when ${senders} sent`)
        }
      },
    )

  test('NATs that count their ports and those that lose datagrams', LIMIT, async (t) => {
    const place = await opened(t)
    await t.test('two NATs that count their ports are passed directly', async () => {
      const meeter = () => place.meeter(place.lab.site({ nat: 'seq' }).host)
      await meetDirectly(place, meeter(), meeter())
    })
    const [easy, hard] = (['apdf', 'sym'] as const).map((nat) =>
      [0, 1].map(() => place.meeter(place.lab.site({ nat, lossPercent: 5 }).host)),
    )
    assert.ok(easy && hard)
    for (const [name, one, other] of [
      ['apdf and apdf', easy[0], easy[1]],
      ['apdf and sym', easy[0], hard[0]],
      ['sym and sym', hard[0], hard[1]],
    ] as const)
      await t.test(`${name} reach each other though 5 % are lost`, async () => {
        assert.ok(one && other)
        const { met, ...ends } = await place.acquaint(one, other, 0)
        assert.ok(isReached({ met }), JSON.stringify(met))
        await part(ends)
      })
  })

  const pairs = shortMatrix()
  for (const lane of [0, 1])
    test(`each kind of NAT against open, apdf and itself, part ${lane + 1}`, LIMIT, async (t) => {
      const place = await opened(t)
      const meeters = new Map<string, Process>()
      const meeter = (nat: NatType, role: string) => {
        const known = meeters.get(nat + role) ?? place.meeter(place.lab.site({ nat }).host)
        meeters.set(nat + role, known)
        return known
      }
      const cells: Cell[] = []
      for (const [arriving, standing] of pairs.filter((_, i) => i % 2 === lane)) {
        const [a, b] = [meeter(standing, 'a'), meeter(arriving, 'b')]
        if (isHard(standing) && isHard(arriving)) {
          const met = await place.meet(a, b, 0)
          assert.ok(isReached({ met }), `${arriving} → ${standing}: ${JSON.stringify(met)}`)
          assert.equal(met.path, 'relayed', `${arriving} → ${standing}`)
          cells.push({ standing, arriving, tries: [met] })
        } else cells.push({ standing, arriving, tries: await meetDirectly(place, a, b) })
      }
      t.diagnostic(`\n${matrixReport(cells)}`)
    })
})

async function opened(t: TestContext): Promise<MeetingPlace> {
  const place = new MeetingPlace(t)
  await place.open(PUBLIC_PEERS)
  return place
}

/** Every kind of NAT with open, with apdf, and with itself: each pair once. */
function shortMatrix(): (readonly [NatType, NatType])[] {
  return TYPES.flatMap((arriving) => {
    const standing = new Set<NatType>(['open', 'apdf', arriving])
    if (arriving === 'apdf') standing.delete('open')
    return [...standing].map((each) => [arriving, each] as const)
  })
}

/** Reached each time, and direct once. */
async function meetDirectly(place: MeetingPlace, a: Process, b: Process): Promise<Cell['tries']> {
  const tries: Cell['tries'][number][] = []
  while (tries.length < TRIES) {
    const met = await place.meet(a, b, DIRECT_WITHIN_MS)
    assert.ok(isReached({ met }), `${b.name} → ${a.name}: ${JSON.stringify(met)}`)
    tries.push(met)
    if (met.directMs !== undefined) return tries
  }
  throw new assert.AssertionError({
    message: `${b.name} → ${a.name}: never direct: ${JSON.stringify(tries)}`,
  })
}

function isReached({ met }: Pick<Acquainted, 'met'>): boolean {
  return met.answeredMs !== undefined && met.answeredMs <= REACHED_WITHIN_MS
}

/** A host of each of two homes behind one carrier's NAT. */
function customers(place: MeetingPlace, hairpin: boolean): [Process, Process] {
  const carrier = place.lab.site({ nat: 'apdf', customers: 2, hairpin })
  const host = (site: Site) => place.meeter(site.host)
  return [
    host(place.lab.site({ nat: 'apdf', behind: carrier })),
    host(place.lab.site({ nat: 'apdf', behind: carrier })),
  ]
}

function withHairpin(hairpin: boolean): string {
  return hairpin ? 'with hairpin' : 'without hairpin'
}
