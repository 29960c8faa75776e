/**
 * The core's cryptography: one port (`src/core/crypto.ts`), two providers of the same libsodium, and
 * the system's randomness. Decides which library computes a primitive; composes none.
 */
export { libsodiumWrappers } from './libsodium-wrappers.ts'
export { systemRandom } from './random.ts'
export { sodiumNative } from './sodium-native.ts'
