import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { percentile, table } from '../../src/sim/report.ts'
import type { LabHost } from './lab-host.fixture.ts'
import { NatLab, type NatType } from './nat-lab.fixture.ts'
import { Process } from './process.fixture.ts'
import { Workspace } from './workspace.fixture.ts'

/**
 * Two hosts of every kind of place in the kernel's lab, and what becomes of each pair that meets. Who
 * helps are ordinary peers with public addresses. Every try is of two peers that never were before.
 */
export const TYPES: readonly NatType[] = ['open', 'eif', 'adf', 'apdf', 'sym', 'cgn', 'cgs']
const PUBLIC_PEERS = 8
/** The one that stands has been up this long when the other arrives: it knows what it is behind. */
const SETTLED_MS = 1_200

export interface Try {
  /** From the arriving peer's `connect` to the answer to its first question. */
  readonly answeredMs: number | undefined
  readonly via: string | undefined
  /** From `connect` to a direct path. */
  readonly directMs: number | undefined
  readonly path: string | undefined
}

/** A peer and the process that it lives in. */
export interface Party {
  readonly process: Process
  readonly id: string
}

/** Two that met: `a` stood, `b` arrived. */
export interface Acquainted {
  readonly a: Party
  readonly b: Party
  readonly met: Try
}

interface PublicPeer extends Party {
  readonly host: LabHost
  readonly address: string
}

export interface Cell {
  readonly standing: string
  readonly arriving: string
  readonly tries: readonly Try[]
}

export class MeetingPlace {
  readonly lab: NatLab
  readonly #t: TestContext
  readonly #workspace: Workspace
  readonly #program: string
  readonly #publicPeers: PublicPeer[] = []

  constructor(t: TestContext) {
    this.#t = t
    this.lab = new NatLab(t)
    this.#workspace = new Workspace(t, 'linked')
    this.#program = this.#workspace.program(new URL('meeter.fixture.ts', import.meta.url))
  }

  /** The public peers that everyone knows, as `host:port`. */
  get peers(): readonly string[] {
    return this.#publicPeers.map(({ address }) => address)
  }

  async open(count = PUBLIC_PEERS): Promise<void> {
    const hosts = Array.from({ length: count }, (_, i) => this.lab.publicHost(`p${i + 1}`))
    const [first, ...others] = hosts
    assert.ok(first, 'somebody has to be there')
    this.#publicPeers.push(await this.#startPublic(first))
    const peers = await Promise.all(others.map((host) => this.#startPublic(host)))
    this.#publicPeers.push(...peers)
  }

  /** Ends one of them without a good-bye, and puts a fresh one in its place. */
  async killPublic(peerId: string): Promise<void> {
    const i = this.#publicPeers.findIndex(({ id }) => id === peerId)
    const killed = this.#publicPeers[i]
    assert.ok(killed, `${peerId} is none of the public peers`)
    await killed.process.kill()
    this.#publicPeers[i] = await this.#startPublic(killed.host)
  }

  /** A host's process: one peer at a time. */
  meeter(host: LabHost): Process {
    const words = [...host.prefix, process.execPath, this.#program]
    return new Process(this.#t, host.name, words, { env: this.#workspace.environment(host.name) })
  }

  /** Two fresh peers meet and part; `watchMs` is how long a direct path may take. */
  async meet(standing: Process, arriving: Process, watchMs: number): Promise<Try> {
    const { met, ...ends } = await this.acquaint(standing, arriving, watchMs)
    await part(ends)
    return met
  }

  /** Two fresh peers meet, and stay. */
  async acquaint(standing: Process, arriving: Process, watchMs: number): Promise<Acquainted> {
    const { peers } = this
    const { peer } = await standing.ask('up', 'up', { peers })
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))
    const { peer: arrivingId } = await arriving.ask('up', 'up', { peers })
    const after = arriving.told.length
    arriving.command('meet', { peer, watchMs })
    const { answeredMs, via, ms: directMs, path } = await arriving.tells('met', { peer }, after)
    return {
      a: { process: standing, id: peer },
      b: { process: arriving, id: arrivingId },
      met: { answeredMs, via, directMs, path },
    }
  }

  async #startPublic(host: LabHost): Promise<PublicPeer> {
    const process = this.meeter(host)
    const other = this.#publicPeers.find((each) => each.host !== host)
    const peers = other === undefined ? [] : [other.address]
    const { peer: id, port } = await process.ask('up', 'up', { peers })
    return { host, process, id, address: `${host.address}:${port}` }
  }
}

export async function part({ a, b }: Pick<Acquainted, 'a' | 'b'>): Promise<void> {
  await Promise.all([a, b].map(({ process }) => process.ask('down', 'down')))
}

export function isHard(type: string): boolean {
  return type === 'sym' || type === 'cgs'
}

export function matrixReport(cells: readonly Cell[]): string {
  const ms = (values: readonly number[], percent: number) =>
    values.length === 0 ? '-' : Math.round(percentile(values, percent))
  const rows = cells.map(({ standing, arriving, tries }) => {
    const answered = tries.flatMap(({ answeredMs }) => answeredMs ?? [])
    const direct = tries.flatMap(({ directMs }) => directMs ?? [])
    return [
      `${arriving} → ${standing}`,
      tries.length,
      answered.length,
      ms(answered, 50),
      ms(answered, 100),
      direct.length,
      ms(direct, 50),
      ms(direct, 95),
      ms(direct, 100),
    ]
  })
  const heading = ['pair', 'tries', 'answered', 'p50 ms', 'max', 'direct', 'p50 ms', 'p95', 'max']
  return table(heading, rows)
}
