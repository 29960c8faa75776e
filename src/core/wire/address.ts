/**
 * Socket addresses as bytes and as canonical text (RFC 5952). One address has one form: IPv4 mapped
 * into IPv6 is IPv4, text is lower-case and compressed. Decides what an address is; whether to talk to
 * it is the caller's choice. A zone (`%eth0`) is not part of an address here.
 */
import { assert, MALFORMED, type Malformed } from '../errors.ts'
import type { LocalAddress } from '../io.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export type Address = LocalAddress

/** Kind byte, 16 bytes, port. */
export const ADDRESS_BYTES_MAX = 19

const KIND_IPV4 = 4
const KIND_IPV6 = 6

/**
 * `shared` is a carrier's NAT range (RFC 6598). The documentation and benchmark ranges count as
 * global: nothing answers there, and laboratories use them as their internet.
 */
export type HostClass =
  | 'global'
  | 'private'
  | 'shared'
  | 'loopback'
  | 'link-local'
  | 'multicast'
  | 'unspecified'
  | 'reserved'

/** The 4 or 16 bytes of an IP literal; undefined for any other text. Mapped IPv4 gives 4 bytes. */
export function parseHost(text: string): Uint8Array | undefined {
  // The longest literal is 45 characters: bounds the work on text from elsewhere.
  if (text.length > 45) return undefined
  if (!text.includes(':')) return parseIpv4(text)
  const bytes = parseIpv6(text)
  return bytes === undefined ? undefined : unmapped(bytes)
}

/** Canonical text of 4 or 16 address bytes. */
export function formatHost(bytes: Uint8Array): string {
  assert(bytes.length === 4 || bytes.length === 16, 'an address has 4 or 16 bytes')
  const short = bytes.length === 16 ? unmapped(bytes) : bytes
  return short.length === 4 ? short.join('.') : formatIpv6(short)
}

/** The canonical form of an IP literal; undefined when the text is not one. */
export function canonicalHost(text: string): string | undefined {
  const bytes = parseHost(text)
  return bytes === undefined ? undefined : formatHost(bytes)
}

/** Bytes that `writeAddress` takes. */
export function addressSize(address: Address): number {
  return address.host.includes(':') && hostBytes(address).length === 16 ? ADDRESS_BYTES_MAX : 7
}

export function writeAddress(writer: Writer, address: Address): void {
  const bytes = hostBytes(address)
  writer.u8(bytes.length === 4 ? KIND_IPV4 : KIND_IPV6)
  writer.put(bytes)
  writer.u16(address.port)
}

/** Reads one address and leaves the reader behind it. */
export function readAddress(reader: Reader): Address | Malformed {
  const kind = reader.u8()
  if (kind !== KIND_IPV4 && kind !== KIND_IPV6) return MALFORMED
  const bytes = reader.take(kind === KIND_IPV4 ? 4 : 16)
  const port = reader.u16()
  return reader.failed ? MALFORMED : { host: formatHost(bytes), port }
}

export function encodeAddress(address: Address): Uint8Array {
  const writer = new Writer(addressSize(address))
  writeAddress(writer, address)
  return writer.done()
}

export function decodeAddress(bytes: Uint8Array): Address | Malformed {
  const reader = new Reader(bytes)
  const address = readAddress(reader)
  return address === MALFORMED ? MALFORMED : reader.end(address)
}

/** What range a host belongs to; text that is no IP literal is `reserved`. */
export function classifyHost(host: string): HostClass {
  const bytes = parseHost(host)
  if (bytes === undefined) return 'reserved'
  return bytes.length === 4 ? classifyIpv4(bytes) : classifyIpv6(bytes)
}

/** Whether a host is of a private network: RFC 1918 or RFC 4193. */
export function isPrivate(host: string): boolean {
  return classifyHost(host) === 'private'
}

/** Whether a datagram can be sent there at all. IPv6 link-local needs a zone, which is not carried. */
export function isDialable(address: Address): boolean {
  if (!Number.isInteger(address.port) || address.port < 1 || address.port > 0xffff) return false
  const kind = classifyHost(address.host)
  if (kind === 'link-local') return !address.host.includes(':')
  return kind !== 'multicast' && kind !== 'unspecified' && kind !== 'reserved'
}

function hostBytes(address: Address): Uint8Array {
  const bytes = parseHost(address.host)
  assert(bytes !== undefined, 'an address has an IP literal as its host')
  assert(
    Number.isInteger(address.port) && address.port >= 0 && address.port <= 0xffff,
    'a port has 16 bits',
  )
  return bytes
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (let i = 0; i < 4; i++) {
    const part = parts[i] ?? ''
    // A leading zero is octal to some parsers and decimal to others (RFC 6943 §3.1.1).
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined
    bytes[i] = Number(part)
  }
  return bytes
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0] ?? '', halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : []
  if (head === undefined || tail === undefined) return undefined
  const length = head.length + tail.length
  if (halves.length === 1 ? length !== 16 : length > 14) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(head)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

/** Bytes of colon-separated groups, the last of which may be an IPv4 literal when `mayEndInIpv4`. */
function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [i, group] of groups.entries()) {
    if (mayEndInIpv4 && i === groups.length - 1 && group.includes('.')) {
      const last = parseIpv4(group)
      if (last === undefined) return undefined
      bytes.push(...last)
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    }
  }
  return bytes
}

/** RFC 4291 §2.5.5.2: ::ffff:0:0/96. */
function unmapped(bytes: Uint8Array): Uint8Array {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return bytes
  return bytes[10] === 0xff && bytes[11] === 0xff ? bytes.subarray(12) : bytes
}

/** RFC 5952 §4: the longest run of two or more zero groups, the first of equals, becomes `::`. */
function formatIpv6(bytes: Uint8Array): string {
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i] ?? 0) * 0x100 + (bytes[i + 1] ?? 0))
  let start = -1
  let length = 1
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === 0) end++
    if (end - i > length) {
      start = i
      length = end - i
    }
  }
  const text = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(':')
  if (start < 0) return text(groups)
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`
}

function classifyIpv4(bytes: Uint8Array): HostClass {
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  if (a === 0) return b + c + d === 0 ? 'unspecified' : 'reserved'
  if (a === 10 || (a === 172 && b >> 4 === 1) || (a === 192 && b === 168)) return 'private'
  if (a === 100 && b >> 6 === 1) return 'shared'
  if (a === 127) return 'loopback'
  if (a === 169 && b === 254) return 'link-local'
  if (a >= 240) return 'reserved'
  return a >= 224 ? 'multicast' : 'global'
}

function classifyIpv6(bytes: Uint8Array): HostClass {
  const [a = 0, b = 0] = bytes
  if (a === 0xff) return 'multicast'
  if (a === 0xfe && b >> 6 === 2) return 'link-local'
  // fec0::/10 was site-local (RFC 3879): some sites still number with it.
  if ((a & 0xfe) === 0xfc || (a === 0xfe && b >> 6 === 3)) return 'private'
  if (a !== 0) return 'global'
  if (bytes.subarray(0, 15).some((byte) => byte !== 0)) return b === 0x64 ? 'global' : 'reserved'
  if (bytes[15] === 0) return 'unspecified'
  return bytes[15] === 1 ? 'loopback' : 'reserved'
}
