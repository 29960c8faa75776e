import type { Crypto, KeyPair } from '../crypto.ts'
import type { PeerId } from '../io.ts'
import { ascii, fromHex, toHex } from '../wire/bytes.ts'

/**
 * The secret that two members of one subcluster share and nobody else has, other members included: the
 * key of their mailbox. Both can compute it without having met, from each other's id alone.
 */
const MAIL_LABEL = ascii('latica mail key')

/** 32 bytes; undefined when `peer` is no key one can agree with. The same at both sides. */
export function mailKey(
  crypto: Crypto,
  identity: KeyPair,
  peer: PeerId,
  joinKey: Uint8Array,
): Uint8Array | undefined {
  const remote = fromHex(peer)
  const remoteKey = remote && crypto.agreementPublicKey(remote)
  if (remote === undefined || remoteKey === undefined) return undefined
  const secret = crypto.agree(crypto.agreementSecret(identity.privateKey), remoteKey)
  if (secret === undefined) return undefined
  const isFirst = toHex(identity.publicKey) < peer
  const ids = isFirst ? [identity.publicKey, remote] : [remote, identity.publicKey]
  return crypto.hash(32, [MAIL_LABEL, secret, ...ids], joinKey)
}
