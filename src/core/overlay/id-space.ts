/**
 * Where ids and locations lie in the space of XOR distances: by their first 64 bits, which is as much as
 * tells a network's peers apart. Layout and arithmetic only.
 */
export interface IdPoint {
  /** The first 32 bits and the next 32, as signed integers. */
  readonly high: number
  readonly low: number
}

export const POINT_BITS = 64

/** The point of a peer's id or of a location, in hex. */
export function pointOf(hex: string): IdPoint {
  return {
    high: Number.parseInt(hex.slice(0, 8), 16) | 0,
    low: Number.parseInt(hex.slice(8, 16), 16) | 0,
  }
}

/** XOR distance, exact to 53 bits. */
export function distanceOf(a: IdPoint, b: IdPoint): number {
  return ((a.high ^ b.high) >>> 0) * 0x100000000 + ((a.low ^ b.low) >>> 0)
}

/** How many leading bits two points share. */
export function commonBits(a: IdPoint, b: IdPoint): number {
  const high = a.high ^ b.high
  return high !== 0 ? Math.clz32(high) : 32 + Math.clz32(a.low ^ b.low)
}

/** The point with its other bits zero. */
export function leadingBits({ high, low }: IdPoint, bits: number): IdPoint {
  return { high: high & maskOf(bits), low: low & maskOf(bits - 32) }
}

function maskOf(bits: number): number {
  if (bits <= 0) return 0
  return bits >= 32 ? -1 : -1 << (32 - bits)
}
