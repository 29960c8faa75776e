import type { Handle, PeerId } from '../io.ts'

/** How replication names what groups subscribe to: one text for each subcluster and each mailbox. */
export interface Mailbox {
  readonly subcluster: Handle
  readonly peer: PeerId
}

export function subclusterKey(subcluster: Handle): string {
  return `subcluster ${subcluster}`
}

/** The handle of a subcluster's key; undefined for a mailbox's. */
export function handleOf(subscription: string): Handle | undefined {
  const [kind, handle] = subscription.split(' ')
  return kind === 'subcluster' ? Number(handle) : undefined
}

export function mailboxKey({ subcluster, peer }: Mailbox): string {
  return `mail ${subcluster} ${peer}`
}

export function mailboxOf(subscription: string): Mailbox | undefined {
  const [kind, handle, peer] = subscription.split(' ')
  return kind === 'mail' ? { subcluster: Number(handle), peer: peer as PeerId } : undefined
}

/** Events of the network's own, which no app hears. */
export function isReserved(event: string): boolean {
  return event.startsWith('#')
}
