/** Text and bytes, without the host's TextEncoder or Buffer, which the core does not have. */
const DIGITS: readonly number[] = Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
/** As many codes as one call takes without a deep stack. */
const CODES_MAX = 1024

/** One flat string: one that is put together from parts keeps every part in memory. */
export function toHex(bytes: Uint8Array): string {
  if (bytes.length > CODES_MAX / 2) {
    const half = bytes.length >> 1
    return toHex(bytes.subarray(0, half)) + toHex(bytes.subarray(half))
  }
  const codes: number[] = []
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0
    codes.push(DIGITS[byte >> 4] ?? 0, DIGITS[byte & 0x0f] ?? 0)
  }
  return String.fromCharCode(...codes)
}

/** The bytes of an even number of hex digits; undefined when the text is anything else. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) {
    const high = digitOf(text.charCodeAt(2 * i))
    const low = digitOf(text.charCodeAt(2 * i + 1))
    if (high < 0 || low < 0) return undefined
    bytes[i] = 16 * high + low
  }
  return bytes
}

function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** ASCII text as bytes: for labels of our own. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const whole = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** UTF-8 (RFC 3629). Lone surrogates become U+FFFD. */
export function utf8(text: string): Uint8Array {
  const bytes: number[] = []
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0
    const code = point >= 0xd800 && point < 0xe000 ? 0xfffd : point
    if (code < 0x80) bytes.push(code)
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f))
    else if (code < 0x10000)
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f))
    else
      bytes.push(
        0xf0 | (code >> 18),
        0x80 | ((code >> 12) & 0x3f),
        0x80 | ((code >> 6) & 0x3f),
        0x80 | (code & 0x3f),
      )
  }
  return Uint8Array.from(bytes)
}

/** The text of well-formed UTF-8, or undefined. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  let text = ''
  for (let i = 0; i < bytes.length; ) {
    const first = bytes[i++] ?? 0
    const more =
      first < 0x80
        ? 0
        : first < 0xc2
          ? -1
          : first < 0xe0
            ? 1
            : first < 0xf0
              ? 2
              : first < 0xf5
                ? 3
                : -1
    if (more < 0 || i + more > bytes.length) return undefined
    let code = more === 0 ? first : first & (0x3f >> more)
    for (let k = 0; k < more; k++) {
      const next = bytes[i++] ?? 0
      if (next >> 6 !== 2) return undefined
      code = (code << 6) | (next & 0x3f)
    }
    const shortest = more === 2 ? 0x800 : more === 3 ? 0x10000 : 0
    if (code < shortest || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return undefined
    text += String.fromCodePoint(code)
  }
  return text
}
