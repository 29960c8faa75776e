import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { LocalAddress } from '../core/io.ts'
import { LaticaError } from './errors.ts'
import type { PeerAddress } from './ticket.ts'

/** Guess, unmeasured: a laptop that starts before its network is up asks again this often. */
const RETRY_MS_MIN = 2_000
const RETRY_MS_MAX = 60_000

/** The IP addresses behind an address; rejects when no name of it leads anywhere. */
export async function resolveAddresses(peer: PeerAddress): Promise<readonly LocalAddress[]> {
  const found = await Promise.allSettled(peer.addresses.map(resolveOne))
  const addresses = found.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
  if (addresses.length > 0) return addresses
  const names = peer.addresses.map(({ host }) => host).join(', ')
  const cause: unknown = found.find((each) => each.status === 'rejected')?.reason
  throw new LaticaError('EBADADDRESS', `${names} leads to no IP address`, cause)
}

async function resolveOne({ host, port }: LocalAddress): Promise<LocalAddress[]> {
  if (isIP(host) !== 0) return [{ host, port }]
  const found = await lookup(host, { all: true })
  return found.map(({ address }) => ({ host: address.split('%')[0] ?? address, port }))
}

/** Asks until the address leads somewhere or `signal` aborts: a network may be down at the start. */
export async function resolveInTime(
  peer: PeerAddress,
  signal: AbortSignal,
): Promise<readonly LocalAddress[]> {
  for (let delayMs = RETRY_MS_MIN; !signal.aborted; delayMs = Math.min(2 * delayMs, RETRY_MS_MAX)) {
    const addresses = await resolveAddresses(peer).catch(() => [])
    if (addresses.length > 0) return addresses
    await pause(delayMs, signal)
  }
  return []
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
  })
}
