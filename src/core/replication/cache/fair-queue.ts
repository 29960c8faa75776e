import { Chain } from './chain.ts'
import type { Held } from './held.ts'
import { RankedShares, type Share } from './ranked-shares.ts'

/**
 * The packets of one kind, by whose share they count against. Decides who goes when there is no room:
 * of the source with about the largest share, of its tag with about the largest share, the oldest.
 */

/** A held packet's place in its share. */
export const SLOT_OF_SHARE = 0

class SourceShare implements Share<SourceShare> {
  readonly links: (SourceShare | undefined)[] = [undefined, undefined]
  readonly source: string
  readonly tags = new Map<string, TagShare>()
  readonly ranked = new RankedShares<TagShare>()
  bytes = 0
  rank = -1

  constructor(source: string) {
    this.source = source
  }
}

/** What one source has of one tag. */
export class TagShare implements Share<TagShare> {
  readonly links: (TagShare | undefined)[] = [undefined, undefined]
  readonly tag: string
  readonly source: SourceShare
  /** The oldest first. */
  readonly packets = new Chain<Held>(SLOT_OF_SHARE)
  bytes = 0
  rank = -1

  constructor(tag: string, source: SourceShare) {
    this.tag = tag
    this.source = source
  }
}

export class FairQueue {
  readonly #sources = new Map<string, SourceShare>()
  readonly #ranked = new RankedShares<SourceShare>()

  get sourceCount(): number {
    return this.#sources.size
  }

  /** Who goes next: not `kept` if its share has another. */
  victim(kept: Held | undefined): Held | undefined {
    const packets = this.#ranked.largest?.ranked.largest?.packets
    const oldest = packets?.first
    if (packets === undefined || oldest === undefined || oldest !== kept) return oldest
    return packets.after(oldest) ?? oldest
  }

  /** Charges `held.charge` to its source. */
  add(held: Held): void {
    let source = this.#sources.get(held.source)
    if (source === undefined) {
      source = new SourceShare(held.source)
      this.#sources.set(held.source, source)
    }
    let share = source.tags.get(held.tag)
    if (share === undefined) {
      share = new TagShare(held.tag, source)
      source.tags.set(held.tag, share)
    }
    share.packets.push(held)
    held.share = share
    this.#charge(share, held.charge)
  }

  remove(held: Held): void {
    const share = held.share
    if (share === undefined) return
    const { source, tag } = share
    held.share = undefined
    share.packets.remove(held)
    this.#charge(share, -held.charge)
    if (share.packets.isEmpty) source.tags.delete(tag)
    if (source.tags.size === 0) this.#sources.delete(source.source)
  }

  /** A packet that is here came to cost more, or less. */
  recharge(held: Held, bytes: number): void {
    if (held.share !== undefined) this.#charge(held.share, bytes)
  }

  #charge(share: TagShare, bytes: number): void {
    share.bytes += bytes
    share.source.bytes += bytes
    share.source.ranked.place(share)
    this.#ranked.place(share.source)
  }
}
