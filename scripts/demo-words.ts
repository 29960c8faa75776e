import { createHash } from 'node:crypto'

/** What Alice writes in the demo: looked for at Bob's, and in vain at Carol's. */

export const TEXTS = ['The meeting is at noon.', 'No, at one.', 'Bring the map.', 'And a coat.']
export const PRIVATE_TEXT = 'Only for you, Bob: happy birthday.'
const PICTURE_BYTES = 1_048_576

/** Bytes that look like an image file: nothing in them repeats. */
export function picture(): Uint8Array {
  const bytes = new Uint8Array(PICTURE_BYTES)
  let state = 1
  for (let i = 0; i < bytes.length; i++) {
    // Marsaglia's xorshift32.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state
  }
  return bytes
}

export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
