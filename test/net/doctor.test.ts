import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { homeWithDaemon, mappingHomeMissing, ROUTER } from './mapping-home.fixture.ts'
import { type Host, namespacesMissing } from './namespaces.fixture.ts'
import { NatLab, type Site, type SiteOptions } from './nat-lab.fixture.ts'
import { Process, type Told } from './process.fixture.ts'
import { ROOT, Workspace } from './workspace.fixture.ts'

/** `latica doctor` behind every NAT of the lab, run as a user runs it: what it says is so. */

const LIMIT = { timeout: 120_000, skip: namespacesMissing, concurrency: 3 }
const PEERS = 6
const PORT = 9777
/** What `latica doctor --help` promises, and a guess at what a process adds on a busy machine. */
const LOOK_MS = 8_000
const PROCESS_MS = 8_000

interface Truth {
  readonly filtering: string
  /** Every remote sees another port. */
  readonly isDependent?: boolean
  readonly allocation?: string
  readonly isTranslated?: boolean
  /** Null where nobody can tell. */
  readonly hairpin?: boolean | null
  readonly isCarrier?: boolean
  readonly verdict: 'reachable' | 'punchable' | 'limited'
  /** The one way in beside a relay. */
  readonly how: string
  readonly says: RegExp
}

const STRICT = 'address-and-port-dependent'
const KEEPS = /keeps one address for everything you do.*lets in only who you wrote to first\.$/
const CHANGES = /another port for every remote.*nobody can foresee.*only who you wrote to first\.$/
const PUNCHABLE = { filtering: STRICT, verdict: 'punchable', how: 'punching', says: KEEPS } as const
const LIMITED = {
  filtering: STRICT,
  isDependent: true,
  allocation: 'random',
  hairpin: null,
  verdict: 'limited',
  how: 'punching',
  says: CHANGES,
} as const

type Place = readonly [where: string, site: SiteOptions | ((lab: NatLab) => Site), truth: Truth]

const PLACES: readonly Place[] = [
  [
    'a public address',
    { nat: 'open' },
    {
      filtering: 'endpoint-independent',
      isTranslated: false,
      hairpin: null,
      verdict: 'reachable',
      how: 'direct',
      says: /^No router changes the address.*nothing holds strangers back\.$/,
    },
  ],
  [
    'a NAT that lets in anyone',
    { nat: 'eif' },
    {
      filtering: 'endpoint-independent',
      verdict: 'reachable',
      how: 'direct',
      says: /keeps one address.*lets in anyone\.$/,
    },
  ],
  [
    'a NAT that filters by address',
    { nat: 'adf' },
    {
      ...PUNCHABLE,
      filtering: 'address-dependent',
      says: /keeps one address.*lets in only machines that you wrote to first\.$/,
    },
  ],
  ['a NAT that filters by address and port', { nat: 'apdf' }, PUNCHABLE],
  [
    'a NAT that counts its ports',
    { nat: 'apdf', isPreserving: false },
    { ...PUNCHABLE, allocation: 'sequential' },
  ],
  ['a NAT with hairpin', { nat: 'apdf', hairpin: true }, { ...PUNCHABLE, hairpin: true }],
  ['a NAT that forgets within 20 s', { nat: 'apdf', lifetimeS: 20 }, PUNCHABLE],
  ['a NAT on a lossy line', { nat: 'apdf', lossPercent: 3 }, PUNCHABLE],
  ['a symmetric NAT', { nat: 'sym' }, LIMITED],
  [
    'a symmetric NAT that counts',
    { nat: 'seq' },
    {
      ...LIMITED,
      allocation: 'sequential',
      how: 'foreseen-port',
      says: /another port for every remote.*counting up, so that the next one can be foreseen/,
    },
  ],
  ["a NAT behind a carrier's", { nat: 'cgn' }, PUNCHABLE],
  ["a NAT behind a carrier's symmetric one", { nat: 'cgs' }, LIMITED],
  [
    "a carrier's NAT, with no other before it",
    { nat: 'apdf', customers: 1, hosts: 1 },
    { ...PUNCHABLE, isCarrier: true },
  ],
  ["a carrier's NAT that customers share", sharing({}), PUNCHABLE],
  [
    "a carrier's NAT that customers share, with hairpin",
    sharing({ hairpin: true }),
    { ...PUNCHABLE, hairpin: true },
  ],
]

test('the doctor tells the truth about', LIMIT, async (t) => {
  const lab = new NatLab(t)
  const latica = commandIn(t)
  const hosts = Array.from({ length: PEERS }, (_, i) => lab.publicHost(`p${i + 1}`))
  const peers = await publicPeers(
    latica,
    hosts.map((host) => [host, host.address]),
  )
  const doctor = ({ host }: Site, ...words: string[]) =>
    latica(host, 'doctor', '--no-storage', '--no-port-mapping', ...peers, ...words)

  // They take their time, and leave the machine to the others.
  const blocked = [['--json'], []].map((mode) =>
    t.test(`a network that lets no UDP out ${mode.join()}`, async () => {
      const site = lab.site({ nat: 'apdf', blocked: true })
      const startedAt = performance.now()
      const run = doctor(site, ...mode)
      assert.equal(await run.exit(), 2, run.errors)
      const tookMs = performance.now() - startedAt
      assert.ok(tookMs < LOOK_MS + PROCESS_MS, `took ${Math.round(tookMs)} ms`)
      const [told] = run.told
      const [sentence = ''] = told?.summary ?? run.lines
      assert.match(sentence, /^No answer to \d+ requests to 6 peers: .* let no UDP out\. .* UDP\.$/)
      if (told !== undefined) assert.equal(told.verdict, 'unanswered')
    }),
  )
  const places = PLACES.map(([where, options, truth]) =>
    t.test(where, async (t) => {
      const site = typeof options === 'function' ? options(lab) : lab.site(options)
      const startedAt = performance.now()
      const run = doctor(site, '--json')
      const code = await run.exit()
      t.diagnostic(`after ${Math.round(performance.now() - startedAt)} ms`)
      assert.equal(run.errors, '')
      assert.equal(run.lines.length, 1)
      check(run.told[0], code, truth, site)
    }),
  )
  const inWords = t.test('a NAT, in words', async () => {
    const site = lab.site({ nat: 'adf', hairpin: true })
    const run = doctor(site)
    assert.equal(await run.exit(), 0, run.errors)
    const text = run.lines.join('\n')
    assert.match(text, /^Behind a router that keeps one address.*that you wrote to first\.$/m)
    assert.match(text, /^Others reach you directly once both sides write/m)
    const seen = / {2}Address as others see it: (\S+):\d+ \(the peers asked agree\)$/m.exec(text)
    assert.equal(seen?.[1], site.externalAddress, text)
    assert.match(text, /^ {2}Port mapping: not asked for \(you said so\)$/m)
    assert.match(text, /\(hairpin\): works$/m)
    assert.match(text, /^ {2}Peers: \d direct, 0 on this network, \d relayed$/m)
  })
  await Promise.all([...blocked, ...places, inWords])
})

test('the doctor says that a port is forwarded, and leaves none behind', {
  ...LIMIT,
  skip: mappingHomeMissing,
}, async (t) => {
  const { inside, stranger, forwards } = await homeWithDaemon(t)
  const addresses = [2, 3, 4, 5].map((number) => `1.2.3.${number}`)
  stranger.batch(addresses.slice(1).map((address) => `addr add ${address}/24 dev eth0`))
  const latica = commandIn(t)
  const peers = await publicPeers(
    latica,
    addresses.map((address) => [stranger, address]),
  )
  const run = latica(inside, 'doctor', '--no-storage', '--json', ...peers)
  assert.equal(await run.exit(), 0, run.errors)
  const { verdict, nat, reachable, summary, findings } = run.told[0]
  assert.equal(verdict, 'reachable')
  assert.equal(nat.portMapping.external.host, ROUTER)
  const address = `${ROUTER}:${nat.portMapping.external.port}`
  assert.deepEqual(reachable[0], { how: 'port-mapping', address, who: 'anyone' })
  assert.match(summary[1], /^Anyone reaches you directly, at the address that the router forwards/)
  const { text } = findings.find(({ id }: { id: string }) => id === 'port-mapping')
  assert.equal(text, `Port mapping: the router forwards ${address} to this peer (asked by PCP)`)
  assert.deepEqual(forwards(), [], 'it was given back')
})

/** A customer of a NAT that has room for another one. */
function sharing(carrier: Partial<SiteOptions>): (lab: NatLab) => Site {
  return (lab) =>
    lab.site({ nat: 'apdf', behind: lab.site({ nat: 'apdf', customers: 2, ...carrier }) })
}

type Command = (host: Host, ...words: string[]) => Process

function commandIn(t: TestContext): Command {
  const workspace = new Workspace(t, 'linked')
  const main = join(ROOT, 'dist/cli/main.js')
  return (host, ...words) =>
    new Process(t, host.name, [...host.prefix, process.execPath, main, ...words], {
      env: workspace.environment(host.name),
    })
}

/** Peers that run, and the options that name them. */
async function publicPeers(
  latica: Command,
  places: readonly (readonly [Host, string])[],
): Promise<string[]> {
  const options: string[] = []
  for (const [host, address] of places) {
    const here = ['--host', address, '--port', `${PORT}`]
    const known = options.slice(0, 2)
    const mode = ['--no-storage', '--no-port-mapping', '--json']
    await latica(host, 'up', ...here, ...mode, ...known).tells('ticket')
    options.push('--peer', `${address}:${PORT}`)
  }
  return options
}

function check(said: Told, code: number | null, truth: Truth, site: Site): void {
  const { isDependent = false, isTranslated = true, hairpin = false, isCarrier = false } = truth
  const { external, allocation, ...nat } = said.nat
  assert.deepEqual(nat, {
    mapping: isDependent ? 'endpoint-dependent' : 'endpoint-independent',
    filtering: truth.filtering,
    isTranslated,
    hairpin,
    lifetimeMs: null,
    absoluteLifetimeMs: null,
    portMapping: null,
    isCarrier,
  })
  assert.equal(external.length, 1)
  assert.equal(external[0].host, site.externalAddress)
  // How a port that all see was chosen is not always found out, as nobody needs to know.
  if (isDependent || allocation !== 'unknown')
    assert.equal(allocation, truth.allocation ?? 'preserving')

  assert.equal(said.verdict, truth.verdict)
  assert.equal(code, truth.verdict === 'limited' ? 3 : 0)
  const { host, port } = external[0]
  const [way, ...others] = said.reachable
  assert.equal(way.how, truth.how)
  assert.equal(way.address, isDependent ? undefined : `${host}:${port}`)
  const beside = truth.verdict === 'reachable' ? [] : ['relay']
  assert.deepEqual(
    others.map(({ how }: { how: string }) => how),
    beside,
  )
  assert.match(said.summary[0], truth.says)
  assert.ok(said.peers.direct > 1, 'the public peers are met directly')
  assert.equal(said.peers.asked, PEERS)
}
