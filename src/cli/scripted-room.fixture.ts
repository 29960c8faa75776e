import { Readable } from 'node:stream'
import { KEY, packetInfo, type ScriptedHost, scriptedSocket } from '../api/scripted-host.fixture.ts'
import type { Subcluster } from '../api/types.ts'
import type { Command as CoreCommand, HistoryItem, PacketId, PeerId } from '../core/io.ts'
import type { Invocation, OptionValues } from './command.ts'
import { printerTo } from './printer.ts'
import type { Room } from './room.ts'

type Publish = Extract<CoreCommand, { type: 'publish' }>

export interface Member extends Room {
  readonly peerId: PeerId
  readonly host: ScriptedHost
  readonly kept: HistoryItem[]
}

/**
 * Members of one subcluster without a network: what one publishes reaches the others at once, and is
 * kept by each for its own history. Decides nothing that a core decides.
 */
export class ScriptedRoom {
  readonly #present = new Map<PeerId, Member>()
  /** What is not passed on, as if it had been lost. */
  isLost: (command: Publish) => boolean = () => false
  #last = 0

  /** `kept`: what an earlier run of this member kept. `begin`: what it does before it meets anyone. */
  async enter(
    peerId: PeerId,
    kept: HistoryItem[] = [],
    begin: (member: Member) => void = () => {},
  ): Promise<Member> {
    const { host, socket } = scriptedSocket(peerId)
    const room: Subcluster = await socket.subcluster({ sharedKey: KEY })
    const member = { peerId, host, socket, room, kept }
    host.react = (command) => queueMicrotask(() => this.#perform(member, command))
    begin(member)
    for (const other of this.#present.values()) {
      host.connect(other.peerId)
      host.join(other.peerId)
      other.host.connect(peerId)
      other.host.join(peerId)
    }
    this.#present.set(peerId, member)
    return member
  }

  leave({ peerId }: Member): void {
    this.#present.delete(peerId)
    for (const { host } of this.#present.values()) {
      host.leave(peerId)
      host.emit({ type: 'disconnection', peer: peerId, why: 'closed' })
    }
  }

  #perform(from: Member, command: CoreCommand): void {
    if (command.type === 'history') return from.host.page(command, from.kept)
    if (command.type === 'send') {
      this.#say(from, this.#present.get(command.peer), command)
      return from.host.done(command.operation)
    }
    if (command.type !== 'publish') return
    const others = [...this.#present.values()].filter((each) => each !== from)
    if (command.delivery !== 'durable') {
      for (const other of others) this.#say(from, other, command)
      return from.host.done(command.operation)
    }
    const item = this.#keep(from, command)
    from.kept.push(item)
    if (!this.isLost(command))
      for (const { host, kept } of others) {
        kept.push(item)
        host.emit({ type: 'packet', subcluster: 1, ...item })
      }
    from.host.done(command.operation, { ...item.packet, via: 'self' })
  }

  #say(
    from: Member,
    to: Member | undefined,
    { event, value }: { event: string; value: Uint8Array },
  ) {
    to?.host.emit({
      type: 'message',
      subcluster: 1,
      peer: from.peerId,
      event,
      value,
      delivery: 'ordered',
      via: 'direct',
      packet: undefined,
    })
  }

  #keep({ peerId }: Member, { event, value }: Publish): HistoryItem {
    const id = (++this.#last).toString(16).padStart(64, '0') as PacketId
    return { packet: { ...packetInfo(peerId), id, lamport: this.#last }, event, value }
  }
}

/** An invocation whose output a test reads as objects. */
export function scriptedInvocation(values: OptionValues = {}) {
  const printed: Record<string, unknown>[] = []
  const stop = new AbortController()
  const out = (text: string) => void printed.push(JSON.parse(text))
  const invocation: Invocation = {
    values: { ...values, json: true },
    positionals: [],
    print: printerTo(out, true),
    terminal: {
      out,
      err: out,
      input: Readable.from([]),
      isInteractive: false,
      interrupted: stop.signal,
    },
  }
  return { invocation, printed, stop }
}
