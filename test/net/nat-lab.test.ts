import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { describe, type TestContext, test } from 'node:test'
import { commandsRun, namespacesMissing } from './namespaces.fixture.ts'
import { NatLab, type NatType, type Site, type SiteOptions } from './nat-lab.fixture.ts'
import { meet, type NatProbe, NatVerifier, type OpenSocket } from './nat-verify.fixture.ts'

/** The laboratory's NATs are what they say, and one that is not is found out. */

const LIMIT = { timeout: 120_000, skip: namespacesMissing }
const LIFETIME_S = 3
/** Of the lab of the matrix, which runs each kernel command that it can together with others. */
const COMMANDS_MAX = 210

const RIGHT: readonly SiteOptions[] = [
  { nat: 'open' },
  { nat: 'eif' },
  { nat: 'eif', isPreserving: false },
  { nat: 'adf' },
  { nat: 'adf', isPreserving: false },
  { nat: 'apdf' },
  { nat: 'apdf', isPreserving: false },
  { nat: 'sym' },
  { nat: 'seq' },
  { nat: 'cgn' },
  { nat: 'cgs' },
  { nat: 'eif', lifetimeS: LIFETIME_S },
  { nat: 'adf', lifetimeS: LIFETIME_S, isPreserving: false },
  { nat: 'apdf', lifetimeS: LIFETIME_S },
  { nat: 'sym', lifetimeS: LIFETIME_S },
  { nat: 'eif', hairpin: true },
  { nat: 'apdf', hairpin: true },
  { nat: 'apdf', lossPercent: 10 },
  { nat: 'adf', delayMs: 20 },
  { nat: 'apdf', blocked: true },
]

interface Wrong {
  readonly site: SiteOptions
  /** What is done to the router. */
  readonly rules?: readonly string[]
  readonly settings?: Readonly<Record<string, string>>
  /** What is said of it, unless the truth about what it was before. */
  readonly declared?: SiteOptions
  /** What then is not as declared. */
  readonly what: readonly string[]
}

const ALL_TO_THE_HOST =
  'add rule ip nat inbound iifname "wan" meta l4proto udp dnat ip to 192.168.1.4'
const WRONG: readonly Wrong[] = [
  {
    site: { nat: 'adf' },
    rules: [ALL_TO_THE_HOST],
    what: ['filtering', 'lifetime'],
  },
  {
    site: { nat: 'eif' },
    rules: ['flush chain ip nat inbound'],
    what: ['filtering', 'lifetime'],
  },
  {
    site: { nat: 'sym' },
    rules: ['flush chain ip nat translate', 'add rule ip nat translate masquerade'],
    what: ['mapping', 'mapping of many sockets', 'mapping after a knock', 'allocation'],
  },
  {
    site: { nat: 'apdf' },
    rules: ['flush chain ip nat translate', 'add rule ip nat translate masquerade fully-random'],
    what: ['mapping', 'mapping of many sockets', 'mapping after a knock', 'allocation'],
  },
  {
    site: { nat: 'adf', isPreserving: false },
    rules: ['flush chain ip nat remember'],
    what: ['mapping', 'mapping of many sockets', 'mapping after a knock', 'filtering'],
  },
  {
    site: { nat: 'eif', lifetimeS: LIFETIME_S },
    rules: [ALL_TO_THE_HOST],
    what: ['lifetime'],
  },
  {
    site: { nat: 'apdf', lifetimeS: LIFETIME_S },
    settings: { 'net/netfilter/nf_conntrack_udp_timeout': '30' },
    what: ['lifetime'],
  },
  {
    site: { nat: 'apdf', hairpin: true },
    rules: ['flush chain ip nat inbound'],
    what: ['hairpin'],
  },
  {
    site: { nat: 'eif', hairpin: true },
    rules: [
      'flush chain ip nat outbound',
      'add rule ip nat outbound oifname "wan" meta l4proto udp jump translate',
      'add rule ip nat outbound oifname "wan" masquerade',
    ],
    what: ['hairpin'],
  },
  {
    // What is refused only after it was tracked takes the port from the answer of who is inside.
    site: { nat: 'apdf' },
    rules: ['flush chain ip nat input'],
    what: ['mapping after a knock'],
  },
  {
    site: { nat: 'apdf', lossPercent: 10 },
    rules: ['flush chain ip nat lose'],
    what: ['loss'],
  },
  {
    site: { nat: 'apdf' },
    declared: { nat: 'apdf', delayMs: 40 },
    what: ['delay'],
  },
  {
    site: { nat: 'apdf', blocked: true },
    rules: ['flush chain ip nat forward'],
    what: ['udp'],
  },
]

// Most of their time is silence.
describe('the NAT lab', { concurrency: 2 }, () => {
  test('every NAT of the lab is what it is declared to be', LIMIT, async (t) => {
    const { lab, verifier } = started(t)
    const startedAt = performance.now()
    const sites = RIGHT.map((options) => lab.site(options))
    t.diagnostic(`${sites.length} sites in ${Math.round(performance.now() - startedAt)} ms`)
    await lab.ready()
    const verdicts = await Promise.all(
      sites.map(async (site, i) => ({
        site: JSON.stringify(RIGHT[i]),
        mismatches: await verifier.verify(site),
      })),
    )
    t.diagnostic(`measured after ${Math.round(performance.now() - startedAt)} ms`)
    assert.deepEqual(
      verdicts.filter(({ mismatches }) => mismatches.length > 0),
      [],
    )
  })

  test('a NAT that is not what it is declared to be is found out', LIMIT, async (t) => {
    const { lab, verifier } = started(t)
    const verdicts = await Promise.all(
      WRONG.map(async ({ site: options, rules = [], settings = {}, declared = options }) => {
        const site = lab.site(options)
        site.router.run(['nft', '-f', '-'], rules.join('\n'))
        site.router.settings(settings)
        return (await verifier.verify(site, declared)).map(({ what }) => what)
      }),
    )
    for (const [i, { what, ...wrong }] of WRONG.entries())
      assert.deepEqual(verdicts[i], what, JSON.stringify(wrong))
  })

  test(
    'two hosts behind one NAT keep their mappings apart, also from the same port',
    LIMIT,
    async (t) => {
      const { lab, verifier } = started(t)
      const plain = lab.site({ nat: 'apdf', hosts: 2, name: 'plain' })
      const hairpin = lab.site({ nat: 'eif', hosts: 2, hairpin: true, name: 'hairpin' })
      await Promise.all(
        [plain, hairpin].map(async (site) => {
          const [one, other] = site.hosts
          assert.ok(one && other)
          const probes = await Promise.all([verifier.probe(one), verifier.probe(other)])
          const sockets = await Promise.all(probes.map((probe) => probe.open(5000)))
          const again = await Promise.all(probes.map((probe, i) => probe.seen(at(sockets, i))))
          assert.deepEqual(
            sockets.map(({ mapped }) => mapped),
            again,
            'endpoint-independent',
          )
          assert.deepEqual(
            sockets.map(({ localPort }) => localPort),
            [5000, 5000],
          )
          const [first, second] = again
          assert.deepEqual(first, { host: site.externalAddress, port: 5000 })
          assert.notEqual(second?.port, 5000)
          const declared = { ...site.options, isPreserving: false }
          assert.deepEqual(await verifier.verify(site, declared, other), [])

          const met = await meet(at(probes, 0), at(probes, 1))
          const wanted = site === hairpin ? [...met.mapped].reverse() : [null, null]
          assert.deepEqual(met.heard, wanted, `${one.name}: hairpin`)
          const [here, there] = await Promise.all(probes.map((probe) => probe.open()))
          assert.ok(here && there)
          const onLan = await Promise.all([
            at(probes, 0).greet(here, { host: other.address, port: there.localPort }),
            at(probes, 1).greet(there, { host: one.address, port: here.localPort }),
          ])
          assert.deepEqual(
            onLan.map(([from]) => from?.host),
            [other.address, one.address],
            'they reach each other inside',
          )
        }),
      )
    },
  )

  test(
    'customers of one carrier meet where it has hairpinning, and only there',
    LIMIT,
    async (t) => {
      const { lab, verifier } = started(t)
      await Promise.all(
        [false, true].map(async (hairpin) => {
          const name = hairpin ? 'with' : 'without'
          const carrier = lab.site({ nat: 'apdf', customers: 2, hairpin, name })
          const sites = ['a', 'b'].map((customer) =>
            lab.site({ nat: 'apdf', behind: carrier, name: `${name}-${customer}` }),
          )
          const probes = await Promise.all(sites.map(({ host }) => verifier.probe(host)))
          const met = await meet(at(probes, 0), at(probes, 1))
          for (const mapped of met.mapped) assert.equal(mapped?.host, carrier.externalAddress)
          assert.deepEqual(met.heard, hairpin ? [...met.mapped].reverse() : [null, null])
        }),
      )
    },
  )

  test('simultaneous sending opens what it can, and no more', LIMIT, async (t) => {
    const { lab, verifier } = started(t)
    const pairs: readonly (readonly [NatType, NatType, boolean, boolean])[] = [
      ['open', 'cgs', true, false],
      ['eif', 'sym', true, false],
      ['adf', 'sym', true, false],
      ['apdf', 'sym', false, false],
      ['apdf', 'apdf', true, true],
      ['cgn', 'adf', true, true],
      ['sym', 'sym', false, false],
    ]
    const heard = await Promise.all(
      pairs.map(async ([one, other]) => {
        const sites = [lab.site({ nat: one }), lab.site({ nat: other })]
        const probes = await Promise.all(sites.map(({ host }) => verifier.probe(host)))
        const met = await meet(at(probes, 0), at(probes, 1))
        return [one, other, ...met.heard.map((from) => from !== null)]
      }),
    )
    assert.deepEqual(heard, pairs)
  })
})

test('a reset forgets every mapping, and new addresses take their place', LIMIT, async (t) => {
  const { lab, verifier } = started(t)
  const kinds: readonly NatType[] = ['eif', 'adf', 'apdf', 'sym', 'seq', 'cgn']
  await Promise.all(
    kinds.map(async (nat) => {
      const site = lab.site({ nat, isPreserving: nat === 'cgn' })
      const probe = await verifier.probe(site.host)
      const socket = await probe.open()
      assert.equal(await probe.later(socket, 600), true, `${nat}: before`)
      assert.ok(await isForgotten(site, probe, socket), `${nat}: what was on its way is dropped`)
      const mapped = await probe.seen(socket)
      assert.equal(mapped?.host, site.externalAddress)
      if (nat !== 'cgn') assert.notEqual(mapped.port, socket.mapped?.port, nat)

      const router = site.carrier ?? site
      const before = site.externalAddress
      const external = router.renumber()
      assert.notEqual(external, before)
      assert.equal((await probe.seen(socket))?.host, external, `${nat}: renumbered`)

      const address = site.host.address
      site.host.changeAddress()
      assert.notEqual(site.host.address, address)
      assert.equal((await probe.seen(socket))?.host, external, `${nat}: the host moved`)
    }),
  )
})

test('what a test that was killed left behind goes when the next one starts', LIMIT, async () => {
  const { pid } = spawnSync('true')
  const [gone, ours] = [`latica-test-${pid}-left-0`, `latica-test-${process.pid}-kept-0`]
  for (const name of [gone, ours]) execFileSync('ip', ['netns', 'add', name])
  const module = new URL('namespaces.fixture.ts', import.meta.url)
  execFileSync(process.execPath, ['--import', 'tsx', '--eval', `import('${module}')`])
  const left = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })
  execFileSync('ip', ['netns', 'del', ours])
  assert.ok(!left.includes(gone), 'whose process is gone')
  assert.ok(left.includes(ours), 'whose process runs')
})

test('the lab of the matrix is made by few commands', LIMIT, (t) => {
  const [startedAt, before] = [performance.now(), commandsRun()]
  const lab = new NatLab(t)
  for (let i = 1; i <= 8; i++) lab.publicHost(`public${i}`)
  const sites = Object.values(lab.matrix()).flat()
  const tookMs = Math.round(performance.now() - startedAt)
  const commands = commandsRun() - before
  t.diagnostic(`${sites.length} sites and 8 public hosts: ${commands} commands, ${tookMs} ms`)
  const addresses = new Set(sites.map(({ externalAddress }) => externalAddress))
  assert.equal(addresses.size, 14)
  assert.ok(commands <= COMMANDS_MAX, `${commands} commands`)
})

/** On a busy machine the answer may be quicker than the reset: then it gets more time. */
async function isForgotten(site: Site, probe: NatProbe, socket: OpenSocket): Promise<boolean> {
  for (const afterMs of [600, 1_200, 2_400, 4_800]) {
    const later = probe.later(socket, afterMs)
    await new Promise((resolve) => setTimeout(resolve, 200))
    site.reset()
    if (!(await later)) return true
  }
  return false
}

function started(t: TestContext) {
  const lab = new NatLab(t)
  return { lab, verifier: new NatVerifier(t, lab) }
}

function at<T>(items: readonly T[], i: number): T {
  const item = items[i]
  assert.ok(item)
  return item
}
