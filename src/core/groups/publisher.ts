import type { Random } from '../crypto.ts'
import { UsageError } from '../errors.ts'
import type { Command, FailureCode, Handle, PeerEvent } from '../io.ts'
import { PAYLOAD_BYTES_MAX } from '../replication/leaf-tree.ts'
import { LIFE_MINUTES_MAX, SALT_BYTES } from '../replication/packet.ts'
import type { Moment, Replication } from '../replication/replication.ts'
import { encodeLossy } from './member-wire.ts'
import type { Membership } from './membership.ts'
import { subclusterKey } from './names.ts'
import { type Outbox, VALUE_BYTES_MAX } from './outbox.ts'

/** What goes to a whole subcluster: kept by others, to who is here, or once and perhaps in vain. */
type PublishCommand = Extract<Command, { type: 'publish' }>

export interface PublisherConfig {
  readonly random: Random
  readonly replication: Replication
  readonly outbox: Outbox
  /** Members who are here. */
  readonly present: (subcluster: Handle) => readonly Membership[]
  readonly emit: (event: PeerEvent) => void
}

export class Publisher {
  readonly #config: PublisherConfig

  constructor(config: PublisherConfig) {
    this.#config = config
  }

  /** Answered by `done`, with the packet if one is kept, or `failed`. */
  publish(command: PublishCommand, at: Moment): void {
    const { operation, subcluster, event, value, delivery } = command
    const limit = delivery === 'durable' ? PAYLOAD_BYTES_MAX : VALUE_BYTES_MAX
    if (value.length > limit) return this.#failed(operation, 'ETOOBIG')
    if (delivery === 'durable') return this.#keep(command, at)
    if (delivery === 'lossy') return this.#send(command)
    const { outbox, present } = this.#config
    outbox.sendLive(operation, present(subcluster), event, value.slice())
  }

  #keep({ operation, subcluster, event, value, lifeMs }: PublishCommand, at: Moment): void {
    const lifeMinutes = Math.ceil(lifeMs / 60_000)
    if (!(lifeMinutes >= 1 && lifeMinutes <= LIFE_MINUTES_MAX))
      throw new UsageError('ELIFE', 'lifeMs', 'more than 0, at most 7 days', `${lifeMs}`)
    const { random, replication, emit } = this.#config
    const draft = { event, value: value.slice(), lifeMinutes, salt: random.bytes(SALT_BYTES) }
    replication.publish(subclusterKey(subcluster), draft, at, (packet) => {
      if (packet === undefined) this.#failed(operation, 'ETOOBIG')
      else emit({ type: 'done', operation, packet })
    })
  }

  #send({ operation, subcluster, event, value }: PublishCommand): void {
    let hasFitted = true
    for (const membership of this.#config.present(subcluster)) {
      const payload = encodeLossy(membership.pair, event, value)
      if (!membership.session.port.sendDatagram(payload)) hasFitted = false
    }
    if (!hasFitted) return this.#failed(operation, 'ETOOBIG')
    this.#config.emit({ type: 'done', operation, packet: undefined })
  }

  #failed(operation: Handle, code: FailureCode): void {
    this.#config.emit({ type: 'failed', operation, code })
  }
}
