import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../seeded.fixture.ts'
import { MESSAGE_BYTES_MAX, STREAM_RESERVE, STREAM_WINDOW, STREAMS_MAX } from './limits.ts'
import { Endpoint, join, Link, type LinkOptions, pair, Timeline } from './link.fixture.ts'
import { Transport, type TransportEvent } from './transport.ts'

const LOSSY: LinkOptions = { latencyMs: 10, jitterMs: 3, loss: 0.2, duplicates: 0.05 }
const CLEAN: LinkOptions = { latencyMs: 10 }
const ignore = (): void => {}

/** Byte `i` of a stream's content. */
const contentAt = (i: number): number => (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff

/** Writes `total` bytes of content to each stream as it becomes writable, then finishes it. */
function writer(endpoint: () => Endpoint, total: number): (event: TransportEvent) => void {
  const written = new Map<number, number>()
  return (event) => {
    if (event.type !== 'streamWritable') return
    const { transport } = endpoint()
    let at = written.get(event.stream) ?? 0
    const until = Math.min(total, at + event.bytes)
    while (at < until) {
      const chunk = new Uint8Array(Math.min(until - at, 50_000))
      for (let i = 0; i < chunk.length; i++) chunk[i] = contentAt(at + i)
      transport.writeStream(event.stream, chunk)
      at += chunk.length
    }
    if (at === total && written.get(event.stream) !== total) transport.finishStream(event.stream)
    written.set(event.stream, at)
  }
}

/** Checks and consumes content as it comes; tells when all of it came. */
class ContentReader {
  read = 0
  ended = false
  wrongAt = -1
  readonly #endpoint: () => Endpoint

  constructor(endpoint: () => Endpoint) {
    this.#endpoint = endpoint
  }

  on(event: TransportEvent): void {
    if (event.type === 'streamEnded') this.ended = true
    if (event.type !== 'streamData') return
    for (const byte of event.data) {
      if (byte !== contentAt(this.read) && this.wrongAt < 0) this.wrongAt = this.read
      this.read++
    }
    this.#endpoint().transport.consumeStream(event.stream, event.data.length)
  }
}

/** A message that names itself, with content cut from `source`. */
function message(index: number, length: number, source: Uint8Array): Uint8Array {
  const payload = source.slice(index, index + length)
  new DataView(payload.buffer).setUint32(0, index)
  return payload
}

test('messages of all sizes arrive once under 20 % loss, duplicates and reordering', () => {
  const random = new SeededRandom(1)
  const source = random.bytes(MESSAGE_BYTES_MAX + 2000)
  const sent = Array.from({ length: 2000 }, (_, i) => {
    const length =
      i === 500
        ? MESSAGE_BYTES_MAX
        : random.next() < 0.045
          ? random.below(1 << 20)
          : random.below(4096)
    return message(i, 4 + Math.min(length, MESSAGE_BYTES_MAX - 4), source)
  })
  const arrived = new Map<number, number>()
  const acked = new Set<number>()
  let wrong = 0
  const world = pair(
    2,
    LOSSY,
    (event) => {
      if (event.type === 'messageAcked') acked.add(event.message)
    },
    (event) => {
      if (event.type !== 'message') return
      const { payload } = event
      const index = new DataView(payload.buffer, payload.byteOffset).getUint32(0)
      arrived.set(index, (arrived.get(index) ?? 0) + 1)
      if (Buffer.compare(payload, sent[index] ?? new Uint8Array(0)) !== 0) wrong++
    },
  )
  const numbers = sent.map((payload) => world.a.transport.sendMessage(payload))
  world.a.pump()
  assert.equal(
    world.timeline.run(() => acked.size === sent.length),
    true,
  )
  const bytes = sent.reduce((sum, payload) => sum + payload.length, 0)
  assert.ok(bytes > 35e6, `${bytes}`)
  assert.equal(arrived.size, sent.length)
  assert.equal(
    [...arrived.values()].every((count) => count === 1),
    true,
  )
  assert.equal(wrong, 0)
  assert.deepEqual(new Set(numbers), acked)
  assert.equal(world.a.violations + world.b.violations, 0)
  assert.equal(world.a.transport.hasUnacked, false)
  assert.equal(world.a.transport.backlogBytes, 0)
})

test('a stream of 20 MB arrives intact over a lossy link', () => {
  const total = 20_000_000
  const world = pair(
    3,
    { latencyMs: 5, jitterMs: 1, loss: 0.03, duplicates: 0.02 },
    writer(() => world.a, total),
    (event) => reader.on(event),
  )
  const reader = new ContentReader(() => world.b)
  world.a.transport.openStream()
  world.a.pump()
  assert.equal(
    world.timeline.run(() => reader.ended && !world.a.transport.hasUnacked),
    true,
  )
  assert.equal(reader.read, total)
  assert.equal(reader.wrongAt, -1)
})

test('two flows fill a shared bottleneck and share it', () => {
  const timeline = new Timeline()
  const random = new SeededRandom(4)
  // 10 Mbit/s, 50 ms there and back, a queue of one bandwidth-delay product.
  const narrow = { latencyMs: 25, bytesPerMs: 1250, queueBytes: 62_500 }
  const there = new Link(timeline, random, narrow)
  const back = new Link(timeline, random, narrow)
  const flows = [0, 40].map((startsAt) => {
    const a: Endpoint = new Endpoint(
      timeline,
      true,
      writer(() => a, 1e9),
    )
    const b: Endpoint = new Endpoint(timeline, false, (event) => reader.on(event))
    const reader = new ContentReader(() => b)
    join(a, b, 0, there, back)
    a.transport.setActivePath(0)
    b.transport.setActivePath(0)
    timeline.at(startsAt, () => {
      a.transport.openStream()
      a.pump()
    })
    return reader
  })
  timeline.run(() => false, 30_000)
  const [first = 0, second = 0] = flows.map((reader) => reader.read)
  const share = first / (first + second)
  assert.ok(share > 0.4 && share < 0.6, `share ${share}`)
  const use = (first + second) / (30_000 * 1250)
  assert.ok(use > 0.85, `use ${use}`)
})

test('a stream that nobody reads stops its sender at the window, and goes on when read', () => {
  const total = 1_000_000
  let given = 0
  const world = pair(
    5,
    CLEAN,
    writer(() => world.a, total),
    (event) => {
      if (event.type === 'streamData') given += event.data.length
    },
  )
  const stream = world.a.transport.openStream()
  world.a.pump()
  world.timeline.run(() => false, 10_000)
  assert.equal(given, STREAM_WINDOW)
  assert.equal(world.a.transport.bytesInFlight, 0)
  let consumed = 0
  while (consumed < total) {
    assert.ok(given > consumed, 'what is consumed is replaced')
    world.b.transport.consumeStream(stream, given - consumed)
    consumed = given
    world.b.pump()
    world.timeline.run(() => false, world.timeline.now + 1000)
  }
  assert.equal(given, total)
})

test('streams that nobody reads leave messages their credit', () => {
  let streamed = 0
  let messages = 0
  const world = pair(
    6,
    CLEAN,
    writer(() => world.a, 300_000),
    (event) => {
      if (event.type === 'streamData') streamed += event.data.length
      if (event.type === 'message') messages++
    },
  )
  for (let i = 0; i < 30; i++) world.a.transport.openStream()
  world.a.pump()
  world.timeline.run(() => false, 10_000)
  assert.equal(streamed, 4 * 1024 * 1024 - STREAM_RESERVE)
  for (let i = 0; i < 5; i++) world.a.transport.sendMessage(new Uint8Array(MESSAGE_BYTES_MAX))
  world.a.pump()
  assert.equal(
    world.timeline.run(() => messages === 5, 60_000),
    true,
  )
})

test('small messages and streams do not wait behind a large message', () => {
  const order: string[] = []
  const world = pair(
    7,
    { latencyMs: 10, bytesPerMs: 1250, queueBytes: 62_500 },
    writer(() => world.a, 20_000),
    (event) => {
      if (event.type === 'message') order.push(event.payload.length > 1000 ? 'large' : 'small')
      if (event.type === 'streamEnded') order.push('stream')
    },
  )
  const { transport } = world.a
  for (let i = 0; i < 5; i++) transport.sendMessage(new Uint8Array(MESSAGE_BYTES_MAX))
  for (let i = 0; i < 3; i++) transport.sendMessage(new Uint8Array(100))
  transport.openStream()
  world.a.pump()
  assert.equal(
    world.timeline.run(() => order.length === 9),
    true,
  )
  assert.deepEqual(order.slice(0, 4), ['small', 'small', 'small', 'stream'])
})

test('small messages do not starve a large one that waits for credit', () => {
  const arrived: number[] = []
  const world = pair(8, CLEAN, ignore, (event) => {
    if (event.type === 'message') arrived.push(event.payload.length)
  })
  for (let i = 0; i < 5; i++) world.a.transport.sendMessage(new Uint8Array(MESSAGE_BYTES_MAX))
  const done = (): boolean => arrived.filter((length) => length > 1000).length === 5
  const feed = (): void => {
    while (world.a.transport.backlogBytes < 8_000_000)
      world.a.transport.sendMessage(new Uint8Array(1000))
    world.a.pump()
    if (!done()) world.timeline.at(world.timeline.now + 5, feed)
  }
  feed()
  assert.equal(world.timeline.run(done, 20_000), true)
})

test('what both sides finish is forgotten, and more streams can be opened than at once', () => {
  const ended = new Set<number>()
  const opened: number[] = []
  const world = pair(
    9,
    LOSSY,
    writer(() => world.a, 3000),
    (event) => {
      if (event.type === 'streamOpened') opened.push(event.stream)
      if (event.type === 'streamData')
        world.b.transport.consumeStream(event.stream, event.data.length)
      if (event.type !== 'streamEnded') return
      ended.add(event.stream)
      world.b.transport.finishStream(event.stream)
    },
  )
  const count = 3 * STREAMS_MAX
  for (let i = 0; i < count; i++) world.a.transport.openStream()
  world.a.pump()
  const done = (): boolean =>
    ended.size === count && world.a.transport.openStreams + world.b.transport.openStreams === 0
  assert.ok(world.timeline.run(done), `${ended.size} ${world.a.transport.openStreams}`)
  assert.deepEqual(
    opened,
    Array.from({ length: count }, (_, i) => 2 * i),
  )
  assert.equal(world.b.violations, 0)
})

test('a reset ends both directions and returns all credit', () => {
  const onA: TransportEvent[] = []
  const onB: TransportEvent[] = []
  const world = pair(
    10,
    CLEAN,
    (event) => onA.push(event),
    (event) => onB.push(event),
  )
  const { a, b, timeline } = world
  for (let round = 0; round < 100; round++) {
    const stream = a.transport.openStream()
    a.transport.writeStream(stream, new Uint8Array(200_000))
    a.pump()
    timeline.run(() => false, timeline.now + 500)
    a.transport.resetStream(stream, 7)
    a.transport.writeStream(stream, new Uint8Array(10))
    a.pump()
    timeline.run(() => false, timeline.now + 500)
    assert.equal(
      onB.some((event) => event.type === 'streamReset' && event.code === 7),
      true,
    )
    assert.equal(
      onB.some((event) => event.type === 'streamStopped' && event.code === 7),
      true,
    )
    assert.equal(a.transport.openStreams + b.transport.openStreams, 0)
    b.transport.consumeStream(stream, 10)
    onB.length = 0
  }
  assert.equal(a.transport.hasUnacked, false)
  assert.equal(a.violations + b.violations, 0)
})

test('removing the path in use loses nothing', () => {
  const total = 3_000_000
  let messages = 0
  const world = pair(
    11,
    { latencyMs: 20, loss: 0.01 },
    writer(() => world.a, total),
    (event) => {
      reader.on(event)
      if (event.type === 'message') messages++
    },
  )
  const reader = new ContentReader(() => world.b)
  const { a, b, timeline } = world
  for (let i = 0; i < 20; i++) a.transport.sendMessage(new Uint8Array(50_000))
  a.transport.openStream()
  a.pump()
  for (let path = 1; path < 30; path++) {
    const finished = timeline.run(() => reader.ended, timeline.now + 60)
    if (finished) break
    const random = new SeededRandom(path)
    const options = { latencyMs: 10 + path, loss: 0.01 }
    join(a, b, path, new Link(timeline, random, options), new Link(timeline, random, options))
    for (const { transport } of [a, b]) {
      transport.setActivePath(path)
      transport.removePath(path - 1)
    }
    a.pump()
    b.pump()
  }
  assert.equal(
    timeline.run(() => reader.ended && messages === 20, 600_000),
    true,
  )
  assert.equal(reader.read, total)
  assert.equal(reader.wrongAt, -1)
})

test('leaving a path that went silent repeats at once what it swallowed', () => {
  let arrivedAt = -1
  const world = pair(12, CLEAN, ignore, (event) => {
    if (event.type === 'message' && event.payload.length === 5) arrivedAt = world.timeline.now
  })
  const { a, b, timeline } = world
  join(
    a,
    b,
    1,
    new Link(timeline, new SeededRandom(1), CLEAN),
    new Link(timeline, new SeededRandom(2), CLEAN),
  )
  a.transport.sendMessage(new Uint8Array(100))
  a.pump()
  timeline.run(() => false, 1000)
  world.ab.isUp = false
  world.ba.isUp = false
  a.transport.sendMessage(new Uint8Array(5))
  a.pump()
  timeline.run(() => a.transport.ptoCount === 3)
  assert.equal(a.transport.hasUnacked, true)
  const switchedAt = timeline.now
  a.transport.setActivePath(1)
  a.pump()
  assert.equal(
    timeline.run(() => arrivedAt >= 0),
    true,
  )
  assert.equal(arrivedAt, switchedAt + 10)
})

test('an application that sends little does not grow the window', () => {
  const world = pair(16, CLEAN, ignore, ignore)
  const { a, timeline } = world
  for (let i = 0; i < 200; i++) {
    a.transport.sendMessage(new Uint8Array(2000))
    a.pump()
    timeline.run(() => false, timeline.now + 50)
  }
  assert.equal(a.transport.congestionWindowBytes(), 12_000)
})

test('after a sleep, waking probes at once', () => {
  const world = pair(13, CLEAN, ignore, ignore)
  const { a, timeline } = world
  a.transport.sendMessage(new Uint8Array(100))
  a.pump()
  timeline.run(() => false, 1000)
  world.ab.isUp = false
  a.transport.sendMessage(new Uint8Array(100))
  a.pump()
  timeline.run(() => false, 120_000)
  assert.equal(a.transport.ptoCount > 10, true)
  world.ab.isUp = true
  a.transport.wake()
  a.pump()
  const wokenAt = timeline.now
  assert.equal(
    timeline.run(() => !a.transport.hasUnacked),
    true,
  )
  assert.ok(timeline.now - wokenAt <= 20 + 25, `${timeline.now - wokenAt}`)
})

test('two transports with nothing to say fall silent', () => {
  const world = pair(14, LOSSY, ignore, ignore)
  world.a.transport.sendMessage(new Uint8Array(50_000))
  world.b.transport.sendMessage(new Uint8Array(50_000))
  world.a.pump()
  world.b.pump()
  world.timeline.run(() => false)
  assert.ok(world.timeline.now < 60_000, `${world.timeline.now}`)
  for (const { transport } of [world.a, world.b]) {
    assert.equal(transport.deadline(), undefined)
    assert.equal(transport.bytesInFlight, 0)
    assert.equal(transport.hasUnacked, false)
  }
})

test('equal seeds give equal histories', () => {
  const history = (): string => {
    const events: string[] = []
    const world = pair(
      15,
      LOSSY,
      writer(() => world.a, 30_000),
      (event) => {
        events.push(`${world.timeline.now} ${event.type}`)
      },
    )
    for (let i = 0; i < 50; i++) world.a.transport.sendMessage(new Uint8Array(1 + 100 * i))
    world.a.transport.openStream()
    world.a.pump()
    world.timeline.run(() => false)
    return events.join('\n')
  }
  const first = history()
  assert.equal(first.length > 1000, true)
  assert.equal(history(), first)
})

test('a caller is told at once what it did wrong', () => {
  const transport = new Transport({ isInitiator: true })
  const usage = (code: string) => (error: unknown) =>
    error instanceof TypeError && 'code' in error && error.code === code
  assert.throws(() => transport.sendMessage(new Uint8Array(0)), usage('ETOOBIG'))
  assert.throws(
    () => transport.sendMessage(new Uint8Array(MESSAGE_BYTES_MAX + 1)),
    usage('ETOOBIG'),
  )
  assert.throws(() => transport.writeStream(0, new Uint8Array(1)), usage('ENOSTREAM'))
  assert.throws(() => transport.consumeStream(1, 1), usage('ENOSTREAM'))
  assert.throws(() => transport.setActivePath(0), usage('ENOPATH'))
  assert.throws(() => transport.addPath(0, { datagramBytes: 100 }), usage('ERANGE'))
  for (let path = 0; path < 8; path++) transport.addPath(path, { datagramBytes: 1200 })
  assert.throws(() => transport.addPath(8, { datagramBytes: 1200 }), usage('EPATHS'))
  const stream = transport.openStream()
  assert.throws(() => transport.consumeStream(stream, 1), usage('ERANGE'))
  transport.finishStream(stream)
  assert.throws(() => transport.writeStream(stream, new Uint8Array(1)), usage('EFINISHED'))
})
