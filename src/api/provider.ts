import type { Crypto } from '../core/crypto.ts'

/** The cryptography of this host, loaded when first needed. */
export async function loadCrypto(): Promise<Crypto> {
  try {
    const { sodiumNative } = await import('../crypto/sodium-native.ts')
    return sodiumNative()
  } catch {
    // No prebuilt binary for this platform: the same primitives as WebAssembly, about half as fast.
    const { libsodiumWrappers } = await import('../crypto/libsodium-wrappers.ts')
    return libsodiumWrappers()
  }
}
