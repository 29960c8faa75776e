import type { TestContext } from 'node:test'

/**
 * Undoes what a test made, once: when it ends, or when the process does, also when it is stopped from
 * outside, which runs no hooks of tests.
 */
export function undoAfter(t: TestContext, undo: () => void): void {
  const once = () => {
    if (pending.delete(once)) undo()
  }
  pending.add(once)
  t.after(once)
}

const pending = new Set<() => void>()

process.once('exit', () => {
  for (const undo of [...pending]) undo()
})
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(1))
