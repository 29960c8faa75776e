import { Internet } from './internet.ts'
import { Toy } from './toy.fixture.ts'

/** A run with every feature that draws random numbers: what it hashes to must not depend on the engine. */
export function runtimeHash(seed: number): string {
  const internet = new Internet({ seed, defaultLink: { lossRate: 0.02, jitterMs: 3 } })
  const servers = [1, 2, 3].map(() => new Toy(internet, { ipv6: true }, { echoes: true }))
  const targets = servers.map((toy) => toy.host.address)
  const carrier = internet.addNat({ inside: 'carrier', allocation: 'block' })
  const nats = [undefined, {}, { allocation: 'random' as const }, { behind: carrier }]
  const link = { bandwidthBps: 1_000_000, reorderRate: 0.1, duplicateRate: 0.1 }
  const toys = nats.map(
    (nat, i) => new Toy(internet, { nat, link }, { intervalMs: 7 + i / 3, targets }),
  )
  internet.after(500, () => toys[0]?.host.sleep())
  internet.after(900, () => toys[0]?.host.wake())
  internet.after(700, () => toys[1]?.host.restart())
  internet.run(2000)
  return internet.trace.hash()
}
