/**
 * What a provider or an adapter must do, as node:test suites that its author calls. Decides what the
 * rest of Latica relies on, and tests nothing of how it is done.
 */
export { CRYPTO_CHECKS, type CryptoCheck, cryptoSuite } from './crypto-suite.ts'
export { type StorageUnderTest, storageSuite } from './storage-suite.ts'
export { transportSuite } from './transport-suite.ts'
