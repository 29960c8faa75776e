/**
 * Peer-to-peer networking without servers: discover, connect and communicate with peers.
 * Start with `network`; everything else is reached from what it returns.
 */
export * from './api/index.ts'
