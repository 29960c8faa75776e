import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { restore, sever } from './backbone.fixture.ts'
import type { Site, SiteOptions } from './nat-lab.fixture.ts'
import { type Acquainted, type MeetingPlace, type Party, part } from './nat-matrix.fixture.ts'
import type { Process } from './process.fixture.ts'

/** Two peers of the kernel's lab that talk while something happens to the network between them. */

const DIRECT_WITHIN_MS = 8_000
/** Learning what the NAT is, and a standby, take some seconds. */
const LEARN_MS = 2_000
const FLOW_EVERY_MS = 40
const FLOW_MS = 1_500
/** Far above what it takes, so that only what never comes fails. */
const LAST_WITHIN_MS = 20_000
/** What comes twice comes this late at most. Guess: above the longest wait for an acknowledgement. */
const AFTERMATH_MS = 500
const LOOK_MS = 25

export interface Fault {
  readonly name: string
  /** Where both live. */
  readonly site: SiteOptions
  readonly before: 'direct' | 'relayed'
  /** The side `a` is struck. `sender` is who talks, or one of them. */
  strike(place: MeetingPlace, home: readonly [Site, Site], ends: Acquainted, sender: End): unknown
  mend?(place: MeetingPlace): void
}

export type End = 'a' | 'b'
export type Senders = End | 'both'
export const SENDERS: readonly Senders[] = ['both', 'a', 'b']

export const FAULTS: readonly Fault[] = [
  {
    name: 'the relay in use is killed',
    site: { nat: 'sym' },
    before: 'relayed',
    strike: async (place, _, ends, sender) => {
      const { relay } = await look(ends, sender)
      assert.ok(relay, 'somebody relays')
      return place.killPublic(relay)
    },
  },
  {
    name: 'a NAT starts again',
    site: { nat: 'apdf' },
    before: 'direct',
    strike: (_, [site]) => site.reset(),
  },
  {
    name: 'a NAT that does not keep ports starts again',
    site: { nat: 'apdf', isPreserving: false },
    before: 'direct',
    strike: (_, [site]) => site.reset(),
  },
  {
    name: 'a NAT gets another address',
    site: { nat: 'apdf' },
    before: 'direct',
    strike: (_, [site]) => site.renumber(),
  },
  {
    name: 'a host changes its address',
    site: { nat: 'apdf' },
    before: 'direct',
    strike: (_, [site]) => site.host.changeAddress(),
  },
  {
    name: 'the direct path dies',
    site: { nat: 'apdf' },
    before: 'direct',
    strike: ({ lab }, [a, b]) => sever(lab.internet, a.externalAddress, b.externalAddress),
    mend: ({ lab }) => restore(lab.internet),
  },
]

/** A place's two homes for one kind of fault, and who lives there. */
export class Trial {
  readonly #place: MeetingPlace
  readonly #fault: Fault
  readonly #homes: readonly [Site, Site]
  readonly #meeters: readonly [Process, Process]

  constructor(place: MeetingPlace, fault: Fault) {
    const { site } = fault
    this.#place = place
    this.#fault = fault
    this.#homes = [place.lab.site(site), place.lab.site(site)]
    const [a, b] = this.#homes
    this.#meeters = [place.meeter(a.host), place.meeter(b.host)]
  }

  /**
   * Two fresh peers talk, the fault strikes, they talk on for `watchMs`, and each message comes once
   * and in order. For how long none came, in the direction that was silent longer.
   */
  async silenceMs(senders: Senders, watchMs: number): Promise<number> {
    const { before, strike, mend } = this.#fault
    const ends = await this.#place.acquaint(
      ...this.#meeters,
      before === 'direct' ? DIRECT_WITHIN_MS : 0,
    )
    if (before === 'direct') await untilPath(ends, 'direct', DIRECT_WITHIN_MS)
    await sleep(LEARN_MS)
    const flows = flowsOf(ends, senders)
    for (const flow of flows) flow.start()
    await sleep(FLOW_MS)
    assert.equal((await look(ends, 'a')).path, before, 'the path before')
    const struckAt = Date.now()
    await strike(this.#place, this.#homes, ends, senders === 'both' ? 'a' : senders)
    await sleep(Math.max(0, struckAt + watchMs - Date.now()))
    try {
      for (const flow of flows) await flow.finish()
    } catch (error) {
      const looks = await Promise.all([look(ends, 'a'), look(ends, 'b')])
      throw new Error(`${senders} sent: ${error}; ${JSON.stringify(looks)}`, { cause: error })
    }
    mend?.(this.#place)
    await part(ends)
    return Math.max(...flows.map((flow) => flow.longestSilenceMs(struckAt)))
  }
}

function flowsOf({ a, b }: Acquainted, senders: Senders): Flow[] {
  const flows = { a: new Flow(a, b), b: new Flow(b, a) }
  return senders === 'both' ? [flows.a, flows.b] : [flows[senders]]
}

/** Numbered messages from one peer to another. Both are fresh: the first number is 0. */
export class Flow {
  readonly #from: Party
  readonly #to: Party
  /** What the receiver's process told before is another peer's. */
  readonly #after: number

  constructor(from: Party, to: Party) {
    this.#from = from
    this.#to = to
    this.#after = to.process.told.length
  }

  start(): void {
    this.#from.process.command('flow', { peer: this.#to.id, everyMs: FLOW_EVERY_MS })
  }

  /** One message: how long it was under way. */
  async say(number: number): Promise<number> {
    const saidAt = Date.now()
    this.#from.process.command('say', { peer: this.#to.id })
    const heard = { number, author: this.#from.id }
    const { at } = await this.#to.process.tells('heard', heard, this.#after)
    return at - saidAt
  }

  /** Stops; throws unless each came exactly once and in order. */
  async finish(): Promise<void> {
    const { sent, failures } = await this.#from.process.ask('hush', 'hush')
    const deadline = Date.now() + LAST_WITHIN_MS
    while (this.#heard().length < sent && Date.now() < deadline) await sleep(LOOK_MS)
    await sleep(AFTERMATH_MS)
    assert.deepEqual(failures, [], 'each could be sent')
    assert.deepEqual(
      this.#heard().map(({ number }) => number),
      Array.from({ length: sent }, (_, number) => number),
      'each once, in order',
    )
  }

  /** The longest time without an arrival, up to the last one. */
  longestSilenceMs(since: number): number {
    const arrivals = this.#heard().map(({ at }) => at)
    const times = [since, ...arrivals.filter((at) => at > since)]
    return Math.max(...times.map((at, i) => (times[i + 1] ?? at) - at))
  }

  #heard(): { readonly number: number; readonly at: number }[] {
    const told = this.#to.process.told.slice(this.#after)
    return told.filter(({ type, author }) => type === 'heard' && author === this.#from.id)
  }
}

export interface Look {
  readonly path: string | undefined
  readonly relay: string | undefined
}

/** How one of the two sees the other. */
export function look(ends: Pick<Acquainted, 'a' | 'b'>, end: End): Promise<Look> {
  const { [end]: here, [end === 'a' ? 'b' : 'a']: there } = ends
  return here.process.ask('look', 'look', { peer: there.id })
}

export async function pathsOf(ends: Acquainted): Promise<(string | undefined)[]> {
  return [(await look(ends, 'a')).path, (await look(ends, 'b')).path]
}

/** Until both see the other that way. */
export async function untilPath(ends: Acquainted, path: string, withinMs: number): Promise<void> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const paths = await pathsOf(ends)
    if (paths.every((each) => each === path)) return
    assert.ok(Date.now() < deadline, `${paths.join(' and ')} after ${withinMs} ms, not ${path}`)
    await sleep(LOOK_MS)
  }
}
