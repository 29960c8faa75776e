import type { Crypto, KeyPair } from '../crypto.ts'
import { assert } from '../errors.ts'
import { ascii, concat } from '../wire/bytes.ts'
import { SymmetricState } from './noise-symmetric.ts'

/**
 * One Noise handshake (revision 34), pattern IK or XX of suite 25519_ChaChaPoly_BLAKE2b. It makes and
 * checks handshake messages; it decides neither when they are sent nor what their payloads mean.
 */
export interface NoiseOptions {
  readonly crypto: Crypto
  readonly pattern: NoisePattern
  readonly role: 'initiator' | 'responder'
  readonly prologue: Uint8Array
  /** X25519. */
  readonly staticKeys: KeyPair
  /** X25519, drawn for this handshake alone: its reuse gives the keys away. */
  readonly ephemeral: KeyPair
  /** The responder's X25519 key: what an IK initiator knows before. */
  readonly remoteStatic?: Uint8Array
}

export type NoisePattern = 'IK' | 'XX'

export interface NoiseKeys {
  readonly sendKey: Uint8Array
  readonly receiveKey: Uint8Array
  /** 64 bytes that both sides share and that name this handshake (Noise §11.2). */
  readonly hash: Uint8Array
}

type Token = 'e' | 's' | 'ee' | 'es' | 'se' | 'ss'

/** Noise §7.5. */
const PATTERNS: Readonly<Record<NoisePattern, readonly (readonly Token[])[]>> = {
  IK: [
    ['e', 'es', 's', 'ss'],
    ['e', 'ee', 'se'],
  ],
  XX: [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']],
}

const PUBLIC_KEY_BYTES = 32
const TAG_BYTES = 16

/** What a message changes. A message is applied to a copy, which is kept when the message is good. */
interface Progress {
  readonly symmetric: SymmetricState
  messages: number
  remoteStatic: Uint8Array | undefined
  remoteEphemeral: Uint8Array | undefined
}

export class NoiseHandshake {
  readonly #crypto: Crypto
  readonly #messages: readonly (readonly Token[])[]
  readonly #isInitiator: boolean
  readonly #staticKeys: KeyPair
  readonly #ephemeral: KeyPair
  #progress: Progress
  /** A responder's `ee`, agreed on reading, so that a remote's bad key never reaches `write`. */
  #sharedEphemeral: Uint8Array | undefined

  constructor(options: NoiseOptions) {
    const { crypto, pattern, role, prologue, staticKeys, ephemeral, remoteStatic } = options
    this.#crypto = crypto
    this.#messages = PATTERNS[pattern]
    this.#isInitiator = role === 'initiator'
    this.#staticKeys = staticKeys
    this.#ephemeral = ephemeral
    const isKnown = pattern === 'IK' && this.#isInitiator
    assert((remoteStatic !== undefined) === isKnown, 'only an IK initiator knows the remote before')
    const symmetric = new SymmetricState(crypto, ascii(`Noise_${pattern}_25519_ChaChaPoly_BLAKE2b`))
    symmetric.mixHash(prologue)
    if (pattern === 'IK') symmetric.mixHash(remoteStatic ?? staticKeys.publicKey)
    this.#progress = { symmetric, messages: 0, remoteStatic, remoteEphemeral: undefined }
  }

  /** The remote's X25519 key: the IK initiator's from the start, else proved by a message read. */
  get remoteStatic(): Uint8Array | undefined {
    return this.#progress.remoteStatic
  }

  get isComplete(): boolean {
    return this.#progress.messages === this.#messages.length
  }

  /** The next message. Throws when it is the remote's turn. */
  write(payload: Uint8Array): Uint8Array {
    const tokens = this.#turn(true)
    const progress = this.#progress
    const { symmetric } = progress
    const fields: Uint8Array[] = []
    for (const token of tokens) {
      if (token === 'e') {
        symmetric.mixHash(this.#ephemeral.publicKey)
        fields.push(this.#ephemeral.publicKey)
      } else if (token === 's') {
        fields.push(symmetric.encryptAndHash(this.#staticKeys.publicKey))
      } else {
        const shared = this.#agree(token, progress)
        assert(shared !== undefined, 'the remote keys were checked before')
        symmetric.mixKey(shared)
      }
    }
    fields.push(symmetric.encryptAndHash(payload))
    progress.messages++
    return concat(...fields)
  }

  /**
   * The payload of the remote's next message, as a copy. Undefined when the message is not authentic:
   * nothing has changed then, and the handshake waits for a better one, so that a forger cannot end it.
   * Throws when it is not the remote's turn.
   */
  read(message: Uint8Array): Uint8Array | undefined {
    const tokens = this.#turn(false)
    const progress = { ...this.#progress, symmetric: this.#progress.symmetric.copy() }
    const payload = this.#apply(tokens, progress, message)
    if (payload === undefined) return undefined
    progress.messages++
    if (!this.#isInitiator && this.#sharedEphemeral === undefined) {
      const shared = this.#agree('ee', progress)
      if (shared === undefined) return undefined
      this.#sharedEphemeral = shared
    }
    this.#progress = progress
    return payload
  }

  /** The keys of a complete handshake. */
  split(): NoiseKeys {
    assert(this.isComplete, 'a handshake is split when it is complete')
    const { symmetric } = this.#progress
    const [first, second] = symmetric.split()
    return this.#isInitiator
      ? { sendKey: first, receiveKey: second, hash: symmetric.hash }
      : { sendKey: second, receiveKey: first, hash: symmetric.hash }
  }

  #turn(isOurs: boolean): readonly Token[] {
    const { messages } = this.#progress
    const tokens = this.#messages[messages]
    assert(tokens !== undefined, 'the handshake has a message left')
    assert(((messages % 2 === 0) === this.#isInitiator) === isOurs, 'the two sides take turns')
    return tokens
  }

  #apply(
    tokens: readonly Token[],
    progress: Progress,
    message: Uint8Array,
  ): Uint8Array | undefined {
    const { symmetric } = progress
    let at = 0
    for (const token of tokens) {
      if (token === 'e') {
        if (message.length < at + PUBLIC_KEY_BYTES) return undefined
        progress.remoteEphemeral = new Uint8Array(message.subarray(at, at + PUBLIC_KEY_BYTES))
        at += PUBLIC_KEY_BYTES
        symmetric.mixHash(progress.remoteEphemeral)
      } else if (token === 's') {
        const end = at + PUBLIC_KEY_BYTES + TAG_BYTES
        if (message.length < end) return undefined
        progress.remoteStatic = symmetric.decryptAndHash(message.subarray(at, end))
        if (progress.remoteStatic === undefined) return undefined
        at = end
      } else {
        const shared = this.#agree(token, progress)
        if (shared === undefined) return undefined
        symmetric.mixKey(shared)
      }
    }
    return symmetric.decryptAndHash(new Uint8Array(message.subarray(at)))
  }

  /** Noise §5.3: the first letter names the initiator's key, the second the responder's. */
  #agree(token: 'ee' | 'es' | 'se' | 'ss', progress: Progress): Uint8Array | undefined {
    if (token === 'ee' && this.#sharedEphemeral !== undefined) return this.#sharedEphemeral
    const [ours, theirs] = this.#isInitiator ? [token[0], token[1]] : [token[1], token[0]]
    const own = ours === 'e' ? this.#ephemeral : this.#staticKeys
    const remote = theirs === 'e' ? progress.remoteEphemeral : progress.remoteStatic
    assert(remote !== undefined, 'patterns agree only on keys that were sent')
    return this.#crypto.agree(own.privateKey, remote)
  }
}
