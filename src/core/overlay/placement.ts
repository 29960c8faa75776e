// STUB of the lead so that the replication compiles: replace this file as a whole.
import type { PeerId } from '../io.ts'

export interface Placement {
  readonly networkSize: number
  readonly isSmall: boolean
  isOurs(location: string): boolean
  isCustodian(peer: PeerId, location: string): boolean
  readonly ownBits: number
  nearer(location: string, count: number): readonly PeerId[]
}

/** Leading bits that two hex strings share. */
export function sharedBits(a: string, b: string): number {
  let i = 0
  while (i < a.length && a[i] === b[i]) i++
  if (i === a.length) return 4 * i
  const difference = Number.parseInt(a[i] ?? '0', 16) ^ Number.parseInt(b[i] ?? '0', 16)
  return 4 * i + Math.clz32(difference) - 28
}

export function smallPlacement(size: () => number): Placement {
  return {
    get networkSize() {
      return size()
    },
    isSmall: true,
    isOurs: () => true,
    isCustodian: () => true,
    ownBits: 0,
    nearer: () => [],
  }
}
