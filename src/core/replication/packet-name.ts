import { toHex } from '../wire/bytes.ts'

/**
 * What packets are called: the first bytes of their ids in hex. By its name one is held, and known to the
 * packets that follow it; by its short name it is announced and asked for.
 */
export const NAME_BYTES = 16
export const SHORT_BYTES = 8

export function nameOf(id: Uint8Array): string {
  return toHex(id.subarray(0, NAME_BYTES))
}

export function shortOf(name: string): string {
  return name.slice(0, 2 * SHORT_BYTES)
}
