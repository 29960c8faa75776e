import type { LocalAddress, PeerId } from '../core/io.ts'
import { mustBe } from './errors.ts'

/**
 * How peers are named outside the network: `host:port`, `[v6]:port`, and tickets
 * `latica://<peerId>@host:port,host:port`. It decides the text alone: names are resolved elsewhere.
 */
export interface PeerAddress {
  readonly peer: PeerId | undefined
  /** `host` is an IP literal in canonical form or a DNS name. */
  readonly addresses: readonly LocalAddress[]
}

const SCHEME = 'latica://'
/** As many as a QR code of moderate size holds (ISO/IEC 18004 version 10, binary: 271 bytes). */
export const TICKET_ADDRESSES_MAX = 8
const PEER_ID = /^[0-9a-f]{64}$/
/** RFC 1123 §2.1, and underscores, which names on local networks have. */
const DNS_LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i
/** RFC 1035 §3.1: 255 bytes with the length of each label. */
const DNS_NAME_MAX = 253
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/

/** Reads an address or a ticket; anything else throws `EBADADDRESS`. */
export function parsePeerAddress(text: unknown, argument: string): PeerAddress {
  const expected = `"host:port", "[v6]:port" or a ticket "${SCHEME}<peerId>@host:port"`
  mustBe(typeof text === 'string', argument, expected, text, 'EBADADDRESS')
  const trimmed = text.trim()
  if (trimmed.startsWith(SCHEME)) return parseTicket(trimmed, argument)
  const address = parseAddress(trimmed)
  mustBe(address !== undefined, argument, expected, text, 'EBADADDRESS')
  return { peer: undefined, addresses: [address] }
}

/** Reads a ticket; anything else throws `EBADADDRESS`. */
export function parseTicket(text: unknown, argument: string): PeerAddress {
  const expected = `a ticket "${SCHEME}<64 hex digits>@host:port,host:port" (1–${TICKET_ADDRESSES_MAX} addresses)`
  const read = typeof text === 'string' ? readTicket(text.trim()) : undefined
  mustBe(read !== undefined, argument, expected, text, 'EBADADDRESS')
  return read
}

function readTicket(text: string): PeerAddress | undefined {
  if (!text.startsWith(SCHEME)) return undefined
  const [id = '', list = '', ...more] = text.slice(SCHEME.length).split('@')
  const peer = asPeerId(id)
  const parts = list.split(',')
  if (peer === undefined || more.length > 0 || parts.length > TICKET_ADDRESSES_MAX) return undefined
  const addresses = parts.flatMap((part) => parseAddress(part) ?? [])
  return addresses.length === parts.length ? { peer, addresses } : undefined
}

/** `host:port` or `[v6]:port`; undefined when it is neither. */
export function parseAddress(text: string): LocalAddress | undefined {
  const colon = text.lastIndexOf(':')
  const port = /^\d{1,5}$/.test(text.slice(colon + 1)) ? Number(text.slice(colon + 1)) : 0
  const host = colon < 0 ? undefined : canonicalHost(text.slice(0, colon))
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port }
}

function canonicalHost(text: string): string | undefined {
  if (text.startsWith('[')) {
    // The URL parser checks an IPv6 literal and writes it as RFC 5952 has it.
    const url = /^\[[0-9a-f:.]+\]$/i.test(text) ? tryUrl(`http://${text}/`) : undefined
    return url?.hostname.slice(1, -1)
  }
  if (IPV4.test(text)) return text.split('.').every((part) => isOctet(part)) ? text : undefined
  return isDnsName(text) ? text.toLowerCase() : undefined
}

function isDnsName(text: string): boolean {
  if (text.length > DNS_NAME_MAX) return false
  const labels = text.replace(/\.$/, '').split('.')
  // A last label of digits alone is a mistyped IPv4 address.
  return labels.every((label) => DNS_LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '')
}

function isOctet(text: string): boolean {
  return String(Number(text)) === text && Number(text) < 256
}

function tryUrl(text: string): URL | undefined {
  try {
    return new URL(text)
  } catch {
    return undefined
  }
}

export function formatAddress(address: LocalAddress): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${host}:${address.port}`
}

export function formatTicket(peer: PeerId, addresses: readonly LocalAddress[]): string {
  const list = addresses.slice(0, TICKET_ADDRESSES_MAX).map(formatAddress).join(',')
  return `${SCHEME}${peer}@${list}`
}

/** The peer id in a text of 64 hex digits, in lower case; undefined when it is none. */
export function asPeerId(text: unknown): PeerId | undefined {
  const id = typeof text === 'string' ? text.toLowerCase() : ''
  return PEER_ID.test(id) ? (id as PeerId) : undefined
}
