/** Dynamic ports (RFC 6335 §6). */
export const FIRST_DYNAMIC_PORT = 49_152
export const DYNAMIC_PORTS = 16_384

/**
 * Public addresses by number: each of the first 20,480 in a /16 of its own, because peers trust
 * neighbours in one network less. None lies in a range with a special meaning (RFC 6890).
 */
export function publicIpv4(index: number): string {
  const first = 20 + (index % 80)
  const second = Math.floor(index / 80) % 256
  const third = 1 + (Math.floor(index / 20_480) % 250)
  return `${first}.${second}.${third}.10`
}

/** Each in a /32 of its own for the first 65,535; in canonical form (RFC 5952). */
export function publicIpv6(index: number): string {
  const second = 1 + (index % 0xffff)
  const third = 1 + Math.floor(index / 0xffff)
  return `2a00:${second.toString(16)}:${third.toString(16)}::1`
}
