import type { Command, PeerEvent, PeerId, Snapshot } from '../core/io.ts'

/**
 * A running peer as the facade sees it: a core with something that drives it. It may be the Node
 * driver or a simulated host; the facade knows no wire, no socket and no disk.
 */
export interface Host {
  readonly peerId: PeerId
  /** May be called while an event is being delivered; may deliver events before it returns. */
  command(command: Command): void
  /** Takes the one listener. Events come one at a time, in causal order. */
  onEvent(listener: (event: PeerEvent) => void): void
  snapshot(): Snapshot
  /** Says good-bye and lets go of everything; resolves when nothing is left. */
  close(): Promise<void>
}
