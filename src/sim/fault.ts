/**
 * Who cannot hear whom. Faults of one host are methods of `Host` (crash, sleep, restart, skew), those
 * of a router methods of `NatBox` (reboot), those of a line are `Link.change`; this is what lies
 * between hosts. The cut is at the receiver: what is under way when it heals arrives.
 */
export class Partitions {
  readonly #cuts = new Set<Cut>()

  /** Loses what goes from one of `from` to one of `to`, until the function returned is called. */
  add(from: Iterable<number>, to: Iterable<number>): () => void {
    const cut = { from: new Set(from), to: new Set(to) }
    this.#cuts.add(cut)
    return () => {
      this.#cuts.delete(cut)
    }
  }

  separates(sender: number, receiver: number): boolean {
    if (this.#cuts.size === 0) return false
    for (const cut of this.#cuts) if (cut.from.has(sender) && cut.to.has(receiver)) return true
    return false
  }
}

interface Cut {
  readonly from: ReadonlySet<number>
  readonly to: ReadonlySet<number>
}
