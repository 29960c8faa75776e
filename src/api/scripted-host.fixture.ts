import assert from 'node:assert/strict'
import type {
  Command,
  Handle,
  HistoryItem,
  LeaveReason,
  PacketId,
  PacketInfo,
  PeerEvent,
  PeerId,
  Snapshot,
  UnixMs,
} from '../core/io.ts'
import { UNKNOWN_NAT } from '../core/nat/vector.ts'
import { toHex } from '../core/wire/bytes.ts'
import type { Host } from './host.ts'
import { PeerSocket } from './socket.ts'
import type { RemotePeer, Socket, Subcluster } from './types.ts'
import { decodeValue, encodeValue } from './values.ts'

export const ME = 'aa'.repeat(32) as PeerId
export const ANN = '01'.repeat(32) as PeerId
export const BOB = '02'.repeat(32) as PeerId
export const KEY = new Uint8Array(32).fill(7)

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>

/** A host that does what the test says: it keeps the commands, and the test sends the events. */
export class ScriptedHost implements Host {
  readonly peerId: PeerId
  readonly commands: Command[] = []
  isClosed = false
  /** Called for each command, as a peer that reacts at once would. */
  react: (command: Command) => void = () => {}
  snapshotNow: Snapshot = {
    peerId: ME,
    state: 'connecting',
    observed: [],
    local: [
      { host: '127.0.0.1', port: 7 },
      { host: '10.0.0.1', port: 7 },
    ],
    nat: UNKNOWN_NAT,
    sessions: [],
    counters: { datagramsIn: 3 },
  }
  #listener: (event: PeerEvent) => void = () => {}

  constructor(peerId = ME) {
    this.peerId = peerId
  }

  command(command: Command): void {
    this.commands.push(command)
    this.react(command)
  }

  onEvent(listener: (event: PeerEvent) => void): void {
    this.#listener = listener
  }

  snapshot(): Snapshot {
    return this.snapshotNow
  }

  close(): Promise<void> {
    this.isClosed = true
    return Promise.resolve()
  }

  emit(event: PeerEvent): void {
    this.#listener(event)
  }

  connect(peer: PeerId): void {
    this.emit({ type: 'connection', peer, path: 'lan' })
  }

  join(peer: PeerId, subcluster: Handle = 1): void {
    this.emit({ type: 'member', subcluster, peer, change: { state: 'joined' } })
  }

  leave(peer: PeerId, why: LeaveReason = 'left', subcluster: Handle = 1): void {
    this.emit({ type: 'member', subcluster, peer, change: { state: 'left', why } })
  }

  /** With a packet: one that was kept for us. */
  message(peer: PeerId, event: string, value: unknown, packet?: PacketInfo): void {
    const bytes = encodeValue(value)
    this.emit({
      type: 'message',
      subcluster: 1,
      peer,
      event,
      value: bytes,
      delivery: 'ordered',
      via: packet === undefined ? 'direct' : 'cache',
      packet,
    })
  }

  packet(author: PeerId, event: string, value: unknown, subcluster: Handle = 1): void {
    const bytes = encodeValue(value)
    this.emit({ type: 'packet', subcluster, packet: packetInfo(author), event, value: bytes })
  }

  /** Answers a question for history with these, as many as it asked for. */
  page(command: CommandOf<'history'>, kept: readonly HistoryItem[]): void {
    const { operation, after, limit, since } = command
    const from = kept.findIndex(({ packet }) => packet.id === after?.id) + 1
    const left = kept.slice(from).filter(({ packet }) => packet.timestamp >= since)
    const packets = left.slice(0, limit)
    this.emit({ type: 'history', operation, packets, isLast: packets.length === left.length })
  }

  done(operation: Handle, packet?: PacketInfo): void {
    this.emit({ type: 'done', operation, packet })
  }

  all<T extends Command['type']>(type: T): CommandOf<T>[] {
    return this.commands.filter((command): command is CommandOf<T> => command.type === type)
  }

  last<T extends Command['type']>(type: T): CommandOf<T> {
    const command = this.all(type).at(-1)
    if (command === undefined) throw new Error(`no ${type} command was given`)
    return command
  }
}

/** A packet that is kept here: the same number gives the same id. */
export function keptItem(number: number, value: unknown, event = 'news'): HistoryItem {
  const id = number.toString(16).padStart(64, '0') as PacketId
  const timestamp = (1_700_000_000_000 + number) as UnixMs
  const packet: PacketInfo = { ...packetInfo(ANN), id, timestamp, lamport: number, via: 'cache' }
  return { packet, event, value: encodeValue(value) }
}

export function packetInfo(author: PeerId): PacketInfo {
  return {
    id: 'cd'.repeat(32) as PacketId,
    author,
    previous: ['ef'.repeat(16)],
    timestamp: 1_700_000_000_000 as UnixMs,
    lamport: 4,
    ttlMs: 1_000,
    via: 'direct',
    gap: false,
  }
}

export function sentValue(command: { readonly value: Uint8Array | undefined }): unknown {
  return command.value === undefined ? undefined : decodeValue(command.value)
}

export function scriptedSocket(peerId = ME): { host: ScriptedHost; socket: Socket } {
  const host = new ScriptedHost(peerId)
  const resolve = ({ addresses }: { addresses: readonly { host: string; port: number }[] }) =>
    Promise.resolve(addresses)
  // An exported key ends with what it has in common with the others of its group.
  const groupOf = (key: Uint8Array) => toHex(key.subarray(-32))
  return { host, socket: new PeerSocket({ host, resolve, groupOf }) }
}

/** Lets every promise that can settle do so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export interface Setup {
  readonly host: ScriptedHost
  readonly room: Subcluster
}

export async function setUp(): Promise<Setup> {
  const { host, socket } = scriptedSocket()
  socket.on('#error', (error) => assert.fail(String(error)))
  return { host, room: await socket.subcluster({ sharedKey: KEY }) }
}

export function memberOf({ host, room }: Setup, peer = ANN): RemotePeer {
  host.join(peer)
  const member = room.peers.get(peer)
  assert.ok(member)
  return member
}

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof Error && 'code' in error && error.code === code
}

/** A remote calls. */
export function call(
  host: ScriptedHost,
  id: number,
  name: string,
  value = encodeValue([1, 2]),
): void {
  host.emit({ type: 'call', call: id, subcluster: 1, peer: ANN, name, value })
}
