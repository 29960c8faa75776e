import { BoundedMap } from '../collections/bounded-map.ts'
import type { Crypto } from '../crypto.ts'
import { ascii, fromHex, toHex } from '../wire/bytes.ts'

/** Where in the id space the custodians of a tag are. Who they are is for `overlay/placement.ts`. */
const LABEL = ascii('latica place')
/** Guess: ten days of a thousand contacts; any other is worked out anew. */
const PLACES_MAX = 16_384

export class Places {
  readonly #crypto: Crypto
  readonly #known = new BoundedMap<string, string>(PLACES_MAX)

  constructor(crypto: Crypto) {
    this.#crypto = crypto
  }

  /** Hex of 32 bytes, of a tag in hex. */
  of(tag: string): string {
    const known = this.#known.get(tag)
    if (known !== undefined) return known
    const place = toHex(this.#crypto.hash(32, [LABEL, fromHex(tag) ?? new Uint8Array()]))
    this.#known.set(tag, place)
    return place
  }
}
