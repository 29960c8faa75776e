import { MALFORMED, type Malformed } from '../errors.ts'
import type { NatVector } from '../io.ts'
import type { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'

/** What a remote needs to know of the NAT before us, as two bytes (docs/spec/nat.md, "Vector"). */
export const VECTOR_BYTES = 2
/** Lifetimes are told in these units, rounded down: 0 is unknown. */
const LIFETIME_UNIT_MS = 5_000

const MAPPINGS = ['unknown', 'endpoint-independent', 'endpoint-dependent'] as const
const FILTERINGS = [
  'unknown',
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
] as const
const ALLOCATIONS = ['unknown', 'preserving', 'sequential', 'block', 'random'] as const

export const UNKNOWN_NAT: NatVector = Object.freeze({
  mapping: 'unknown',
  filtering: 'unknown',
  allocation: 'unknown',
  isTranslated: undefined,
  external: [],
  hairpin: undefined,
  lifetimeMs: undefined,
  absoluteLifetimeMs: undefined,
  portMapping: undefined,
  isCarrier: false,
})

/** Mapping in bits 0–1, filtering in 2–3, allocation in 4–6, carrier in 7; then the lifetime. */
export function encodeVector(nat: NatVector): Uint8Array {
  const mapping = MAPPINGS.indexOf(nat.mapping)
  const filtering = FILTERINGS.indexOf(nat.filtering)
  const allocation = ALLOCATIONS.indexOf(nat.allocation)
  const carrier = nat.isCarrier ? 0x80 : 0
  const lifetime = Math.min(255, Math.floor((nat.lifetimeMs ?? 0) / LIFETIME_UNIT_MS))
  return new Writer(VECTOR_BYTES)
    .u8(mapping | (filtering << 2) | (allocation << 4) | carrier)
    .u8(lifetime)
    .done()
}

/** What the bytes tell; what they do not tell is unknown. */
export function readVector(reader: Reader): NatVector | Malformed {
  const bits = reader.u8()
  const lifetime = reader.u8()
  const mapping = MAPPINGS[bits & 3]
  const filtering = FILTERINGS[(bits >> 2) & 3]
  const allocation = ALLOCATIONS[(bits >> 4) & 7]
  if (reader.failed || mapping === undefined) return MALFORMED
  if (filtering === undefined || allocation === undefined) return MALFORMED
  return {
    ...UNKNOWN_NAT,
    mapping,
    filtering,
    allocation,
    lifetimeMs: lifetime === 0 ? undefined : lifetime * LIFETIME_UNIT_MS,
    isCarrier: bits >= 0x80,
  }
}
