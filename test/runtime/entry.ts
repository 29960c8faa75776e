import { libsodiumWrappers } from '../../src/crypto/libsodium-wrappers.ts'
import { runScenario } from './scenario.ts'

/** What each runtime gets, as one classic script: `latica(seed)` resolves to the trace hash. */
Object.assign(globalThis, {
  latica: async (seed: number) => runScenario(seed, await libsodiumWrappers()),
})
