import type { Instant } from '../io.ts'
import type { Salvo } from './salvo.ts'

/** Knocks at every port that a remote foretold: three times, since a knock may be lost or too early. */
const PASSES = 3
const PASS_GAP_MS = 100

export class PortSweep implements Salvo {
  readonly #ports: readonly number[]
  readonly #knock: (port: number, now: Instant) => void
  #passesLeft = PASSES
  nextAt: Instant | undefined

  constructor(ports: readonly number[], knock: (port: number, now: Instant) => void, now: Instant) {
    this.#ports = ports
    this.#knock = knock
    this.nextAt = now
  }

  fire(now: Instant): void {
    if (this.nextAt === undefined || now < this.nextAt) return
    for (const port of this.#ports) this.#knock(port, now)
    this.#passesLeft--
    this.nextAt = this.#passesLeft === 0 ? undefined : ((now + PASS_GAP_MS) as Instant)
  }
}
