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
  #peers: string[] = []

  constructor(t: TestContext) {
    this.#t = t
    this.lab = new NatLab(t)
    this.#workspace = new Workspace(t, 'linked')
    this.#program = this.#workspace.program(new URL('meeter.fixture.ts', import.meta.url))
  }

  /** The public peers that everyone knows, as `host:port`. */
  get peers(): readonly string[] {
    return this.#peers
  }

  async open(count = PUBLIC_PEERS): Promise<void> {
    for (let i = 0; i < count; i++) {
      const host = this.lab.publicHost(`p${i + 1}`)
      const peer = this.meeter(host)
      const { port } = await peer.ask('up', 'up', { peers: this.#peers.slice(0, 1) })
      this.#peers.push(`${host.address}:${port}`)
    }
  }

  /** A host's process: one peer at a time. */
  meeter(host: LabHost): Process {
    const words = [...host.prefix, process.execPath, this.#program]
    return new Process(this.#t, host.name, words, { env: this.#workspace.environment(host.name) })
  }

  /** Two fresh peers meet; `watchMs` is how long a direct path may take. */
  async meet(standing: Process, arriving: Process, watchMs: number): Promise<Try> {
    const peers = this.#peers
    const { peer } = await standing.ask('up', 'up', { peers })
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))
    await arriving.ask('up', 'up', { peers })
    const after = arriving.told.length
    arriving.command('meet', { peer, watchMs })
    const met = await arriving.tells('met', { peer }, after)
    await Promise.all([standing.ask('down', 'down'), arriving.ask('down', 'down')])
    const { answeredMs, via, ms: directMs, path } = met
    return { answeredMs, via, directMs, path }
  }
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
