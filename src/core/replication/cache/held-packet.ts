import type { LeafAssembly } from '../leaf-assembly.ts'
import type { Packet } from '../packet.ts'

/**
 * Why a packet is kept: it is of a subcluster (or mailbox) that we are in; it is ours to keep for
 * strangers; or it is neither, and kept while there is room.
 */
export type Duty = 'own' | 'custody' | 'passing'

/** A packet in the store, as others see it. */
export interface HeldPacket {
  /** Hex of the first 16 bytes of its id. */
  readonly name: string
  /** 32 bytes; a view: copy what is kept. */
  readonly id: Uint8Array
  /** Decoded afresh each time: what is held is bytes. */
  readonly packet: Packet
  readonly bytes: Uint8Array
  /** Hex. */
  readonly tag: string
  readonly duty: Duty
  /** Whose share it counts against. */
  readonly source: string
  /** Undefined: it has none, or they are more than we keep for its duty. */
  readonly leaves: LeafAssembly | undefined
  /** There is nothing more of it. */
  readonly isWhole: boolean
}
