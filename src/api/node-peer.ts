import { isIP } from 'node:net'
import type { Bootstrap } from '../core/config.ts'
import type { KeyPair } from '../core/crypto.ts'
import { SubclusterKeys } from '../core/groups/subcluster-keys.ts'
import { createPeer } from '../core/index.ts'
import type { PeerEvent, PeerId } from '../core/io.ts'
import { toHex } from '../core/wire/bytes.ts'
import { systemRandom } from '../crypto/random.ts'
import { Driver } from '../driver/drive.ts'
import type { Storage } from '../driver/ports.ts'
import { systemClock } from '../node/clock.ts'
import { HostError } from '../node/host-error.ts'
import { MappedTransport } from '../node/port-mapping/mapped-transport.ts'
import { openUdp, type UdpTransport } from '../node/udp.ts'
import { LaticaError } from './errors.ts'
import type { Host } from './host.ts'
import { keepPort, loadIdentity, loadPort, openStore, type Store } from './node-store.ts'
import { type CheckedOptions, checkPeerId } from './options.ts'
import { loadCrypto } from './provider.ts'
import { resolveAddresses, resolveInTime } from './resolve.ts'
import { PeerSocket } from './socket.ts'
import type { PeerAddress } from './ticket.ts'
import type { Socket } from './types.ts'

/** Puts a peer together on this machine: storage, identity, sockets, core, driver, facade. */
export async function openPeer(options: CheckedOptions): Promise<Socket> {
  try {
    return await open(options)
  } catch (error) {
    if (error instanceof HostError)
      throw new LaticaError(error.code, error.message, error, error.help)
    throw error
  }
}

async function open(options: CheckedOptions): Promise<Socket> {
  const store = await openStore(options)
  try {
    const crypto = await loadCrypto()
    const identity = options.signingKeys ?? (await loadIdentity(store.storage, crypto))
    checkPeerId(options.peerId, identity)
    const seed = identity.privateKey.subarray(0, identity.publicKey.length)
    if (toHex(crypto.signingKeyPair(seed).publicKey) !== toHex(identity.publicKey))
      throw new LaticaError('EBADKEY')
    const bound = await openTransport(options, store.storage)
    const transport = options.portMapping ? new MappedTransport(bound) : bound
    try {
      return start({ ...options, store, transport, identity, crypto })
    } catch (error) {
      transport.close()
      throw error
    }
  } catch (error) {
    await store.storage.close()
    throw error
  }
}

interface Parts extends CheckedOptions {
  readonly store: Store
  readonly transport: UdpTransport | MappedTransport
  readonly identity: KeyPair
  readonly crypto: Awaited<ReturnType<typeof loadCrypto>>
}

function start(parts: Parts): Socket {
  const { store, transport, identity, crypto, clusterId, lan, relay, cacheBytes, signal } = parts
  const clock = systemClock()
  const bootstrap = parts.peers.filter(isNumeric) satisfies Bootstrap[]
  const random = systemRandom()
  const config = { crypto, random, identity, clusterId, bootstrap, lan, relay, cacheBytes }
  const core = createPeer(config, clock.now(), clock.wall())
  let listener: (event: PeerEvent) => void = () => {}
  const driver = new Driver({
    core,
    transport,
    clock,
    storage: store.storage,
    onEvent: (event) => listener(event),
    onFault: (error) => {
      void socket.close()
      socket.report(error)
    },
    onAppError: (error) => socket.report(error),
    onPortError: (error) => notify(socket, error),
  })
  const closing = new AbortController()
  const host: Host = {
    peerId: toHex(identity.publicKey) as PeerId,
    command: (command) => driver.command(command),
    onEvent: (given) => {
      listener = given
    },
    snapshot: () => core.snapshot(),
    close: async () => {
      closing.abort()
      await driver.close()
      // A process that exits now would leave its port on the router until the lease ends.
      if (transport instanceof MappedTransport) await transport.released()
    },
  }
  const socket = new PeerSocket({
    host,
    resolve: resolveAddresses,
    groupOf: (sharedKey) => toHex(new SubclusterKeys(crypto, sharedKey, clusterId).joinKey),
  })
  driver.start()
  signal?.addEventListener('abort', () => void socket.close(), {
    once: true,
    signal: closing.signal,
  })
  for (const peer of parts.peers) if (!isNumeric(peer)) void dialByName(host, peer, closing.signal)
  const { notice } = store
  // When the caller has had the time to listen.
  if (notice !== undefined) setImmediate(() => notify(socket, notice))
  return socket
}

/** On the port asked for; or on that of the last time if it is free; or on any. */
async function openTransport(options: CheckedOptions, storage: Storage): Promise<UdpTransport> {
  const { host, lan } = options
  if (options.port !== undefined) return openUdp({ port: options.port, host, lan })
  const last = await loadPort(storage)
  const transport = await openUdp({ port: last, host, lan }).catch((error: unknown) => {
    if (last === 0) throw error
    return openUdp({ port: 0, host, lan })
  })
  if (transport.port !== last) await keepPort(storage, transport.port)
  return transport
}

async function dialByName(host: Host, peer: PeerAddress, signal: AbortSignal): Promise<void> {
  const addresses = await resolveInTime(peer, signal)
  if (!signal.aborted) host.command({ type: 'dial', addresses, peer: peer.peer })
}

function isNumeric(peer: PeerAddress): boolean {
  return peer.addresses.every(({ host }) => isIP(host) !== 0)
}

/** Something a person should know, though the peer goes on: to '#error', or to the console. */
function notify(socket: PeerSocket, error: unknown): void {
  if (socket.notice(error)) return
  process.emitWarning(error instanceof Error ? error : String(error))
}
