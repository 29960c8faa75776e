import assert from 'node:assert/strict'
import { type Endpoint, type LocalAddress, SOCKET_IPV4 } from '../core/io.ts'
import type { MaybePromise, Transport } from '../driver/ports.ts'

/** How long the suite sends again before it calls a datagram lost for good. */
const PATIENCE_MS = 5000
export const RESEND_MS = 20

/** A transport under test, and what it has reported. */
interface Heard {
  readonly from: Endpoint
  readonly data: Uint8Array
}

export interface Station {
  readonly transport: Transport
  readonly heard: Heard[]
  /** Of the sockets that are up. */
  readonly addresses: Map<number, readonly LocalAddress[]>
  readonly reports: string[]
}

export async function listen(make: () => MaybePromise<Transport>): Promise<Station> {
  const transport = await make()
  const station: Station = { transport, heard: [], addresses: new Map(), reports: [] }
  transport.open({
    datagram: (from, data) => station.heard.push({ from, data: data.slice() }),
    socket: (socket, state, addresses) => {
      station.reports.push(`${socket} ${state}`)
      if (state === 'up') station.addresses.set(socket, addresses)
      else station.addresses.delete(socket)
    },
    portMapping: () => {},
  })
  await until(() => [...station.addresses.values()].flat().length > 0, 'a socket with an address')
  return station
}

export async function pair(make: () => MaybePromise<Transport>): Promise<[Station, Station]> {
  return [await listen(make), await listen(make)]
}

export async function withPair(
  make: () => MaybePromise<Transport>,
  run: (alice: Station, bob: Station) => Promise<void>,
): Promise<void> {
  const [alice, bob] = await pair(make)
  try {
    await run(alice, bob)
  } finally {
    alice.transport.close()
    bob.transport.close()
  }
}

/** Where a station's main IPv4 socket is reached. */
export function mainSocketOf(station: Station): Endpoint {
  const address = station.addresses.get(SOCKET_IPV4)?.[0]
  assert.ok(address !== undefined, 'it has IPv4')
  return { kind: 'udp', socket: SOCKET_IPV4, host: address.host, port: address.port }
}

/** Where `from` reaches `station`: an address of a socket that both have. */
export function addressOf(station: Station, from: Station): Endpoint {
  for (const [socket, addresses] of station.addresses) {
    const address = addresses[0]
    if (address !== undefined && from.addresses.has(socket)) {
      return { kind: 'udp', socket, host: address.host, port: address.port }
    }
  }
  return assert.fail('the two have no kind of socket in common')
}

/** Sends until it arrives: datagrams may be lost. */
export async function deliver(
  from: Station,
  at: Station,
  to: Endpoint,
  data: Uint8Array,
): Promise<Heard> {
  at.heard.length = 0
  const arrived = () => at.heard.find((datagram) => sameBytes(datagram.data, data))
  await until(() => {
    if (arrived() === undefined) from.transport.send(to, data.slice())
    return arrived() !== undefined
  }, `the datagram of ${data.length} bytes`)
  return arrived() ?? assert.fail('it was there')
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

export async function until(isDone: () => boolean, what: string): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE_MS
  while (!isDone()) {
    assert.ok(performance.now() < giveUpAt, `${what} did not come within ${PATIENCE_MS} ms`)
    await sleep(RESEND_MS)
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
