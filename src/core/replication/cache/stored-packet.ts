import { MALFORMED } from '../../errors.ts'
import type { StoredRecord } from '../../io.ts'
import { decodePacket, type Packet } from '../packet.ts'
import type { Duty } from './held-packet.ts'

/**
 * How packets and leaves lie on disk: docs/spec/cache.md. Decides keys and records; what is worth
 * keeping is the store's. Nothing here says who brought or wrote a packet.
 */
export const PACKET_PREFIX = 'packet/'
export const LEAF_PREFIX = 'leaf/'

const VERSION = 1
const DUTIES: readonly Duty[] = ['own', 'custody', 'passing']
const INDEX_DIGITS = 6
const PACKET_KEY = /^packet\/([0-9a-f]{32})$/
const LEAF_KEY = /^leaf\/([0-9a-f]{32})\/(\d)\.([0-9a-f]{6})$/

export interface StoredPacket {
  readonly name: string
  readonly duty: Duty
  readonly packet: Packet
}

export interface StoredLeaf {
  readonly name: string
  readonly level: number
  readonly index: number
}

export function packetKey(name: string): string {
  return PACKET_PREFIX + name
}

export function leafKey(name: string, level: number, index: number): string {
  return `${LEAF_PREFIX}${name}/${level}.${index.toString(16).padStart(INDEX_DIGITS, '0')}`
}

export function encodeStored(duty: Duty, packet: Uint8Array): Uint8Array {
  const record = new Uint8Array(2 + packet.length)
  record.set([VERSION, DUTIES.indexOf(duty)])
  record.set(packet, 2)
  return record
}

export function decodeStored({ key, value }: StoredRecord): StoredPacket | undefined {
  const name = PACKET_KEY.exec(key)?.[1]
  const duty = DUTIES[value[1] ?? DUTIES.length]
  const packet = decodePacket(value.subarray(2))
  if (name === undefined || value[0] !== VERSION || duty === undefined) return undefined
  return packet === MALFORMED ? undefined : { name, duty, packet }
}

export function decodeLeafKey(key: string): StoredLeaf | undefined {
  const [, name, level, index] = LEAF_KEY.exec(key) ?? []
  if (name === undefined || level === undefined || index === undefined) return undefined
  return { name, level: Number(level), index: Number.parseInt(index, 16) }
}
