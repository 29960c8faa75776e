import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { LabHost } from './lab-host.fixture.ts'
import type { NatLab, Site, SiteOptions } from './nat-lab.fixture.ts'
import type { Mapped } from './nat-mirror.fixture.ts'
import type { Echoes, Sighting, Silence, Survey } from './nat-probe.fixture.ts'
import { Process } from './process.fixture.ts'
import { programCommand } from './program.fixture.ts'

/**
 * Whether a NAT is what it is declared to be, measured from a host behind it with two mirrors in the
 * internet. It knows nothing of how a NAT is made.
 */

/** What was declared and what was seen instead. */
export interface Mismatch {
  readonly what: keyof Facts
  readonly declared: string
  readonly seen: string
}

interface Facts {
  readonly udp: string
  readonly tcp: string
  readonly external: string
  readonly mapping: string
  readonly 'mapping of many sockets': string
  readonly 'mapping after a knock': string
  readonly filtering: string
  readonly allocation: string
  readonly hairpin: string
  readonly lifetime: string
  readonly loss: string
  readonly delay: string
}

interface Observation {
  readonly survey: Survey
  readonly silences: readonly Silence[]
  readonly echoes: Echoes
}

const PORTS = [3478, 3479] as const
const SILENCES_MS = [2_000, 5_000] as const
/** On a busy machine a mapping may end before a late answer: what is wanted is tried again. */
const SILENCE_TRIES = 4
const SURVEYS_AT_ONCE = 6
/** A symmetric NAT at random ports may give the same one twice: of 256 sockets, once in 250 runs. */
const SAME_BY_CHANCE = 3
/** Steps between ports of a sequential NAT while others behind it take some. */
const STEP_MAX = 32
/** Standard deviations of the share of lost echoes: one run in 15,000 is further off. */
const DEVIATIONS = 4
/** On top of the declared delay for the fastest of many echoes: two programmes have to wake up. */
const DELAY_SLACK_MS = 30

/** Mirrors in the lab's internet, and a probe on each host that is looked at. */
export class NatVerifier {
  readonly #t: TestContext
  readonly #mirrors: readonly Mapped[]
  readonly #processes: readonly Process[]
  readonly #probes = new Map<LabHost, NatProbe>()
  readonly #turns: Promise<unknown>[] = Array(SURVEYS_AT_ONCE).fill(undefined)
  #next = 0

  constructor(t: TestContext, lab: NatLab) {
    this.#t = t
    const [one, two] = [lab.publicHost('mirror1'), lab.publicHost('mirror2')]
    this.#mirrors = [one, two].flatMap(({ address }) =>
      PORTS.map((port) => ({ host: address, port })),
    )
    const program = new URL('nat-mirror.fixture.ts', import.meta.url)
    const start = (host: LabHost, other: LabHost) => {
      const words = programCommand(program, other.address, JSON.stringify(PORTS))
      return new Process(t, host.name, [...host.prefix, ...words])
    }
    this.#processes = [start(one, two), start(two, one)]
  }

  /** In which ways the NAT before a host is not what was declared; about 8 s, most of it silence. */
  async verify(
    site: Site,
    declared: SiteOptions = site.options,
    host: LabHost = site.host,
  ): Promise<Mismatch[]> {
    const probe = await this.probe(host)
    const isPublic = declared.nat === 'open'
    const [{ survey, echoes }, ...silences] = await Promise.all([
      this.#inTurn(async () => ({
        survey: await probe.ask<Survey>('survey'),
        // Echoes are timed, so they come when most has been sent.
        echoes: await probe.ask<Echoes>('echoes', { quickMs: latestMs(declared.delayMs ?? 0) }),
      })),
      ...wantedSilences(declared).map((wanted) => silenceAfter(probe, wanted)),
    ])
    const seen = seenFacts({ survey, echoes, silences }, declared, site.externalAddress)
    const wanted = declaredFacts(declared)
    const passes = seen.udp === 'passes' && wanted.udp === 'passes'
    return (Object.keys(wanted) as (keyof Facts)[])
      .filter((what) => seen[what] !== wanted[what])
      .filter((what) => !(isPublic && what === 'hairpin'))
      .filter((what) => passes || what === 'udp' || what === 'tcp')
      .map((what) => ({ what, declared: wanted[what], seen: seen[what] }))
  }

  /** Few at a time: each sends as much as a birthday attack, and no packet is to be lost of it. */
  async #inTurn<T>(measure: () => Promise<T>): Promise<T> {
    const before = this.#turns[this.#next % this.#turns.length]
    const done = Promise.resolve(before).then(measure)
    this.#turns[this.#next++ % this.#turns.length] = done.catch(() => {})
    return done
  }

  /** What measures on a host. */
  async probe(host: LabHost): Promise<NatProbe> {
    await Promise.all(this.#processes.map((each) => each.tells('up')))
    const known = this.#probes.get(host)
    if (known !== undefined) return known
    const program = new URL('nat-probe.fixture.ts', import.meta.url)
    const words = programCommand(program, JSON.stringify(this.#mirrors))
    const probe = new NatProbe(new Process(this.#t, host.name, [...host.prefix, ...words]))
    this.#probes.set(host, probe)
    await probe.ready()
    return probe
  }
}

/** A socket of a probe. */
export interface OpenSocket {
  readonly socket: number
  readonly localPort: number
  /** Null where no UDP passes. */
  readonly mapped: Mapped | null
}

/** The programme on a host, for measurements that take more than one host. */
export class NatProbe {
  readonly #process: Process
  #asked = 0

  constructor(process: Process) {
    this.#process = process
  }

  async ready(): Promise<void> {
    await this.#process.tells('up')
  }

  open(port = 0): Promise<OpenSocket> {
    return this.ask('open', { port })
  }

  /** How another mirror sees it: what it sends refreshes its mapping. */
  seen({ socket }: OpenSocket): Promise<Mapped | null> {
    return this.ask('seen', { socket })
  }

  /** Whether an answer that comes after silence arrives. */
  later({ socket }: OpenSocket, afterMs: number): Promise<boolean> {
    return this.ask('later', { socket, afterMs })
  }

  /** Sends to that address for a while: from where the socket heard others that do. */
  greet({ socket }: OpenSocket, to: Mapped | null): Promise<Mapped[]> {
    assert.ok(to, 'nobody to greet')
    return this.ask('greet', { socket, to })
  }

  async ask<T>(command: string, fields: Readonly<Record<string, unknown>> = {}): Promise<T> {
    const id = this.#asked++
    this.#process.command(command, { id, ...fields })
    const { result } = await this.#process.tells('result', { id })
    return result as T
  }
}

/** Heard if it was so in any of some tries; only what is wanted gets more than one. */
async function silenceAfter(probe: NatProbe, wanted: Silence): Promise<Silence> {
  const { afterMs } = wanted
  let { heardSame, heardHost } = await probe.ask<Silence>('silence', { afterMs })
  for (let i = 1; i < SILENCE_TRIES; i++) {
    if (heardSame >= wanted.heardSame && heardHost >= wanted.heardHost) break
    const again = await probe.ask<Silence>('silence', { afterMs })
    heardSame ||= again.heardSame
    heardHost ||= again.heardHost
  }
  return { afterMs, heardSame, heardHost }
}

/** Two hosts greet each other at the addresses that mirrors saw: from where each heard the other. */
export async function meet(one: NatProbe, other: NatProbe) {
  const sockets = await Promise.all([one.open(), other.open()])
  const heard = await Promise.all([
    one.greet(sockets[0], sockets[1].mapped),
    other.greet(sockets[1], sockets[0].mapped),
  ])
  return {
    mapped: sockets.map(({ mapped }) => mapped),
    heard: heard.map(([first]) => first ?? null),
  }
}

function declaredFacts(declared: SiteOptions): Facts {
  const { nat, isPreserving = true, behind } = declared
  const isDependent = nat === 'sym' || nat === 'seq' || nat === 'cgs'
  const mapping = isDependent ? 'dependent' : 'independent'
  const isOpen = nat === 'open' || nat === 'eif'
  const allocation = isDependent && nat !== 'seq' ? 'random' : nat === 'seq' ? nat : 'preserving'
  const hairpin = declared.hairpin ?? behind?.options.hairpin ?? false
  return {
    udp: declared.blocked === true ? 'blocked' : 'passes',
    tcp: 'passes',
    external: 'the one declared',
    mapping,
    'mapping of many sockets': mapping,
    'mapping after a knock': mapping,
    filtering: isOpen ? 'eif' : nat === 'adf' ? 'adf' : 'apdf',
    allocation: isPreserving || isDependent ? allocation : 'seq',
    hairpin: hairpin ? 'from the external address' : 'none',
    lifetime: lifetimeFact(wantedSilences(declared)),
    loss: `${declared.lossPercent ?? 0} %`,
    delay: `${declared.delayMs ?? 0} ms`,
  }
}

function wantedSilences({ nat, lifetimeS = Number.POSITIVE_INFINITY }: SiteOptions): Silence[] {
  return SILENCES_MS.map((afterMs) => {
    const isAlive = afterMs < lifetimeS * 1_000
    return { afterMs, heardSame: isAlive, heardHost: isAlive && (nat === 'open' || nat === 'eif') }
  })
}

function seenFacts(seen: Observation, declared: SiteOptions, external: string): Facts {
  const { survey, silences, echoes } = seen
  const sightings = [survey.one, ...survey.inOrder, ...survey.many]
  const mapped = sightings.flatMap((sighting) => sighting.mapped).filter((each) => each !== null)
  const hosts = [...new Set(mapped.map(({ host }) => host))]
  return {
    udp: mapped.length === 0 ? 'blocked' : 'passes',
    tcp: survey.speaksTcp ? 'passes' : 'blocked',
    external: hosts.join() === external ? 'the one declared' : hosts.join(),
    mapping: mappingOf([survey.one], 0),
    'mapping of many sockets': mappingOf(survey.many, SAME_BY_CHANCE),
    'mapping after a knock': mappingOf([survey.knocked], 0),
    filtering: filteringOf(survey),
    allocation: allocationOf(survey),
    hairpin: hairpinOf(survey),
    lifetime: lifetimeFact(silences),
    loss: lossFact(echoes, declared.lossPercent ?? 0),
    delay: delayFact(echoes, declared.delayMs ?? 0),
  }
}

/** Independent only if no two sockets share a port either. */
function mappingOf(sightings: readonly Sighting[], chance: number): string {
  if (sightings.some(({ mapped }) => mapped.includes(null))) return 'not seen by all'
  const ports = sightings.map(({ mapped }) => new Set(mapped.map((each) => each?.port)))
  const dependent = ports.filter(({ size }) => size > 1).length
  if (dependent === 0) {
    const distinct = new Set(ports.flatMap((each) => [...each]))
    return distinct.size === sightings.length ? 'independent' : 'shared between sockets'
  }
  if (dependent >= sightings.length - chance) return 'dependent'
  return `dependent for ${dependent} of ${sightings.length} sockets`
}

function filteringOf({ heardFromOtherPort, heardFromOtherHost }: Survey): string {
  if (heardFromOtherHost) return heardFromOtherPort ? 'eif' : 'of ports but not of hosts'
  return heardFromOtherPort ? 'adf' : 'apdf'
}

function allocationOf({ one, inOrder }: Survey): string {
  const isPreserved = [one, ...inOrder].every(({ localPort, mapped }) =>
    mapped.every((each) => each?.port === localPort),
  )
  if (isPreserved) return 'preserving'
  const all = [...inOrder, one].flatMap(({ mapped }) => mapped.map((each) => each?.port ?? 0))
  const ports = all.filter((port, i) => port !== all[i - 1])
  const steps = ports.slice(1).map((port, i) => port - (ports[i] ?? 0))
  return steps.every((step) => step > 0 && step <= STEP_MAX) ? 'seq' : 'random'
}

function hairpinOf({ hairpin, hairpinSender }: Survey): string {
  if (hairpin === null) return 'none'
  const isExternal = hairpin.host === hairpinSender?.host && hairpin.port === hairpinSender.port
  return isExternal ? 'from the external address' : `from ${hairpin.host}:${hairpin.port}`
}

function lifetimeFact(silences: readonly Silence[]): string {
  const said = (isHeard: boolean) => (isHeard ? 'arrives' : 'is dropped')
  return silences
    .map(
      ({ afterMs, heardSame, heardHost }) =>
        `after ${afterMs} ms an answer ${said(heardSame)}, a stranger's ${said(heardHost)}`,
    )
    .join('; ')
}

/** An echo is lost on the way there or on the way back. */
function lossFact({ sent, heard }: Echoes, declaredPercent: number): string {
  const expected = (1 - declaredPercent / 100) ** 2
  const share = heard / sent
  const deviation = Math.sqrt((expected * (1 - expected)) / sent)
  // A machine under load may lose a few of its own.
  const slack = Math.max(DEVIATIONS * deviation, 0.02)
  if (Math.abs(share - expected) <= slack) return `${declaredPercent} %`
  return `${Math.round((1 - share) * 100)} % of echoes`
}

function delayFact({ fastestMs }: Echoes, declaredMs: number): string {
  // Timers of whole milliseconds may be early by one.
  const isRight = fastestMs >= 2 * declaredMs - 2 && fastestMs <= latestMs(declaredMs)
  return isRight ? `${declaredMs} ms` : `${fastestMs.toFixed(1)} ms for an echo`
}

/** When the fastest echo has to be back. */
function latestMs(delayMs: number): number {
  return 2 * delayMs + DELAY_SLACK_MS
}
