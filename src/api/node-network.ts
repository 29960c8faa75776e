import { LaticaError } from './errors.ts'
import { checkOptions, type NetworkOptions } from './options.ts'
import type { Socket } from './types.ts'

/**
 * Makes a peer on this machine and joins the shared network. Resolves when its sockets are open;
 * `socket.ready` tells when the first peer was met. What the caller got wrong is thrown at once, what
 * the machine refuses (a busy port, a locked folder) rejects with a `LaticaError`.
 */
export function network(options: NetworkOptions): Promise<Socket> {
  const checked = checkOptions(options)
  const { signal } = checked
  if (signal?.aborted) return Promise.reject(new LaticaError('EABORTED', undefined, signal.reason))
  // The peer's many modules are loaded by those who start one: importing the package stays cheap.
  return import('./node-peer.ts').then(({ openPeer }) => openPeer(checked))
}
