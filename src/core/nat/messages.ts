import { MALFORMED, type Malformed } from '../errors.ts'
import type { LocalAddress, NatVector } from '../io.ts'
import { encodeAddress, readAddress } from '../wire/address.ts'
import { concat } from '../wire/bytes.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import { encodeVector, readVector } from './vector.ts'

/**
 * The messages by which two remotes find a direct path, and by which a neighbour helps to find out
 * what NAT is before us (docs/spec/nat.md, "Messages"). Layout only.
 */
export const KIND_CANDIDATES = 0x02
export const KIND_KNOCK = 0x03
export const KIND_AIM = 0x04
export const KIND_WITNESS_ASK = 0x05
export const KIND_WITNESS = 0x06

export const CANDIDATES_PER_MESSAGE_MAX = 8
export const TRANSACTION_BYTES = 12
export const PREFIX_BYTES = 8
/** Ports that one AIM may ask to be written to. */
export const AIM_PORTS_MAX = 128

export type NatMessage =
  /** Where the sender may be reached, and what it is behind. */
  | {
      readonly type: 'candidates'
      readonly nat: NatVector
      readonly addresses: readonly LocalAddress[]
    }
  /**
   * "Send a STUN Binding response with this transaction to `port` of the host at which you see me",
   * from the main socket or from another port.
   */
  | {
      readonly type: 'knock'
      readonly transaction: Uint8Array
      readonly port: number
      readonly isFromOtherPort: boolean
    }
  /**
   * "My mappings towards you are about to be at these ports of `host`": `count` ports from `port` on,
   * `step` apart; at ports nobody foresees when `count` is 0, which then lie in [`port`, `lastPort`].
   */
  | {
      readonly type: 'aim'
      readonly round: number
      readonly address: LocalAddress
      readonly step: number
      readonly count: number
      readonly lastPort: number
    }
  /** "Do you see the peer with this prefix at `host`?" Asked before anything is sprayed there. */
  | { readonly type: 'witnessAsk'; readonly prefix: Uint8Array; readonly address: LocalAddress }
  | {
      readonly type: 'witness'
      readonly prefix: Uint8Array
      readonly address: LocalAddress
      readonly isSeen: boolean
    }

/** Whether a message's first byte is one of these kinds. */
export function isNatMessage(payload: Uint8Array): boolean {
  const kind = payload[0] ?? 0
  return kind >= KIND_CANDIDATES && kind <= KIND_WITNESS
}

export function encodeNatMessage(message: NatMessage): Uint8Array {
  switch (message.type) {
    case 'candidates':
      return concat(
        Uint8Array.of(KIND_CANDIDATES),
        encodeVector(message.nat),
        ...message.addresses.slice(0, CANDIDATES_PER_MESSAGE_MAX).map(encodeAddress),
      )
    case 'knock':
      return new Writer(4 + TRANSACTION_BYTES)
        .u8(KIND_KNOCK)
        .u8(message.isFromOtherPort ? 1 : 0)
        .u16(message.port)
        .put(message.transaction)
        .done()
    case 'aim': {
      const { round, address, step, count, lastPort } = message
      const head = new Writer(8).u8(KIND_AIM).u8(round & 0xff)
      head
        .u8(step + 128)
        .u8(count)
        .u16(lastPort)
      return concat(head.done(), encodeAddress(address))
    }
    case 'witnessAsk':
      return concat(Uint8Array.of(KIND_WITNESS_ASK), message.prefix, encodeAddress(message.address))
    case 'witness':
      return concat(
        Uint8Array.of(KIND_WITNESS, message.isSeen ? 1 : 0),
        message.prefix,
        encodeAddress(message.address),
      )
  }
}

export function decodeNatMessage(payload: Uint8Array): NatMessage | Malformed {
  const reader = new Reader(payload)
  switch (reader.u8()) {
    case KIND_CANDIDATES:
      return readCandidates(reader)
    case KIND_KNOCK: {
      const other = reader.u8()
      const port = reader.u16()
      const transaction = reader.take(TRANSACTION_BYTES).slice()
      if (other > 1 || port === 0) return MALFORMED
      return reader.end({ type: 'knock', transaction, port, isFromOtherPort: other === 1 })
    }
    case KIND_AIM:
      return readAim(reader)
    case KIND_WITNESS_ASK: {
      const prefix = reader.take(PREFIX_BYTES).slice()
      const address = readAddress(reader)
      return address === MALFORMED ? MALFORMED : reader.end({ type: 'witnessAsk', prefix, address })
    }
    case KIND_WITNESS: {
      const seen = reader.u8()
      const prefix = reader.take(PREFIX_BYTES).slice()
      const address = readAddress(reader)
      if (address === MALFORMED || seen > 1) return MALFORMED
      return reader.end({ type: 'witness', prefix, address, isSeen: seen === 1 })
    }
    default:
      return MALFORMED
  }
}

function readCandidates(reader: Reader): NatMessage | Malformed {
  const nat = readVector(reader)
  if (nat === MALFORMED) return MALFORMED
  const addresses: LocalAddress[] = []
  while (reader.remaining > 0) {
    const address = readAddress(reader)
    if (address === MALFORMED || addresses.length === CANDIDATES_PER_MESSAGE_MAX) return MALFORMED
    addresses.push(address)
  }
  return reader.end({ type: 'candidates', nat, addresses })
}

function readAim(reader: Reader): NatMessage | Malformed {
  const round = reader.u8()
  const step = reader.u8() - 128
  const count = reader.u8()
  const lastPort = reader.u16()
  const address = readAddress(reader)
  if (address === MALFORMED || count > AIM_PORTS_MAX) return MALFORMED
  if (address.port === 0 || lastPort < address.port) return MALFORMED
  return reader.end({ type: 'aim', round, address, step, count, lastPort })
}
