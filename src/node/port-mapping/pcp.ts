import { randomBytes } from 'node:crypto'
import { MALFORMED } from '../../core/errors.ts'
import type { LocalAddress } from '../../core/io.ts'
import { toHex } from '../../core/wire/bytes.ts'
import { plain } from '../udp-socket.ts'
import { ask } from './ask.ts'
import { type Lease, LIFETIME_S, type Offer, type Wanted } from './lease.ts'
import {
  decodeMapAnswer,
  encodeMapRequest,
  type MapAnswer,
  NONCE_BYTES,
  UNSUPP_VERSION,
} from './pcp-codec.ts'

/** RFC 6887 §11.1: any. */
const ANY: LocalAddress = { host: '0.0.0.0', port: 0 }

/** PCP (RFC 6887). The request for a mapping is the probe: what it offers is granted already. */
export async function probePcp(wanted: Wanted, signal: AbortSignal): Promise<Offer | undefined> {
  const { uplink, port } = wanted
  const { gateway } = uplink
  if (gateway === undefined) return undefined
  const inside = { host: uplink.host, port }
  const nonce = plain(randomBytes(NONCE_BYTES))
  const map = async (lifetimeS: number, suggested: LocalAddress, signal?: AbortSignal) => {
    const request = encodeMapRequest({ nonce, lifetimeS, inside, suggested })
    const read = (data: Uint8Array) => answerTo(nonce, port, data)
    return ask({ from: uplink.host, server: gateway, request, read }, signal)
  }
  const leaseOf = (answer: MapAnswer | undefined): Lease | undefined => {
    if (answer?.result !== 0) return undefined
    const { external, lifetimeS } = answer
    return {
      mapping: { protocol: 'pcp', external },
      lifetimeMs: lifetimeS * 1_000,
      renew: async () => leaseOf(await map(LIFETIME_S, external)),
      release: async () => void (await map(0, ANY)),
    }
  }
  const lease = leaseOf(await map(LIFETIME_S, { host: ANY.host, port }, signal))
  return lease && (() => Promise.resolve(lease))
}

/** A refusal of the version has no nonce; any other answer repeats ours (RFC 6887 §11.4). */
function answerTo(nonce: Uint8Array, port: number, data: Uint8Array): MapAnswer | undefined {
  const answer = decodeMapAnswer(data)
  if (answer === MALFORMED) return undefined
  const isOurs = answer.insidePort === port && toHex(answer.nonce) === toHex(nonce)
  return isOurs || answer.result === UNSUPP_VERSION ? answer : undefined
}
