import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { MALFORMED } from '../errors.ts'
import { formatHost } from './address.ts'
import { fromHex, toHex } from './bytes.ts'
import {
  ACK_RANGES_MAX,
  decodeFrames,
  FRAMES_MAX,
  type Frame,
  isAckEliciting,
  type NumberRange,
  PLAINTEXT_BYTES_MAX,
  writeFrame,
} from './frames.ts'
import { Writer } from './writer.ts'

interface Vectors {
  readonly frames: readonly {
    readonly name: string
    readonly hex: string
    readonly frames: readonly Frame[]
    readonly toEnd?: boolean
    readonly decodeOnly?: boolean
  }[]
  readonly malformed: readonly { readonly name: string; readonly hex: string }[]
}

function readVectors(): Vectors {
  const file = new URL('../../../docs/spec/vectors/frames.json', import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8'), (_key, value) =>
    typeof value?.hex === 'string' && Object.keys(value).length === 1 ? fromHex(value.hex) : value,
  )
}

function encode(frames: readonly Frame[], toEnd = false): Uint8Array {
  const writer = new Writer(16384)
  for (const [i, frame] of frames.entries())
    writeFrame(writer, frame, toEnd && i === frames.length - 1)
  return writer.done()
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex)
  assert.ok(bytes, 'there is something to check')
  return bytes
}

const varint = fc.oneof(
  fc.nat(63),
  fc.nat(16383),
  fc.nat(2 ** 30 - 1),
  fc.maxSafeInteger().map(Math.abs),
)
const small = fc.nat(2 ** 30)
const bytes8 = fc.uint8Array({ minLength: 8, maxLength: 8 })
const data = fc.uint8Array({ maxLength: 60 })
const some = fc.uint8Array({ minLength: 1, maxLength: 60 })
const address = fc.record({
  host: fc
    .oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    )
    .map(formatHost),
  port: fc.nat(0xffff),
})
// fast-check makes some records without a prototype, which a strict comparison tells apart.
const plain = <T extends object>(record: T): T => ({ ...record })
const ranges = fc
  .array(fc.tuple(fc.nat(1000), fc.nat(1000)), { minLength: 1, maxLength: ACK_RANGES_MAX })
  .map((steps) => {
    const ranges: NumberRange[] = []
    let first = 0
    for (const [gap, length] of steps) {
      ranges.unshift({ first: first + gap, last: first + gap + length })
      first += gap + length + 2
    }
    return ranges
  })

/** Frames that say where they end. */
const bounded: fc.Arbitrary<Frame> = fc.oneof(
  fc.constant<Frame>({ type: 'ping' }),
  fc.record({ type: fc.constant('ack' as const), delayUs: varint, ranges }),
  fc.record({ type: fc.constant('close' as const), code: varint }),
  fc.record({ type: fc.constantFrom('challenge' as const, 'response' as const), nonce: bytes8 }),
  fc.record({ type: fc.constant('observed' as const), address: address.map(plain) }),
  fc.record({ type: fc.constant('maxData' as const), bytes: varint }),
  fc.record({ type: fc.constant('maxStream' as const), stream: varint, bytes: varint }),
  fc.record({ type: fc.constant('maxStreams' as const), count: varint }),
  fc.record({
    type: fc.constant('resetStream' as const),
    stream: varint,
    code: varint,
    finalSize: varint,
  }),
  fc.record({ type: fc.constant('stopSending' as const), stream: varint, code: varint }),
  fc.record({
    type: fc.constant('stream' as const),
    stream: varint,
    offset: small,
    data,
    fin: fc.boolean(),
  }),
  fc.record({ message: varint, offset: small, data: some, more: small }).map(
    ({ message, offset, data, more }): Frame => ({
      type: 'message',
      message,
      total: offset + data.length + more,
      offset,
      data,
    }),
  ),
  fc.record({ type: fc.constant('datagram' as const), data }),
  fc.record({
    type: fc.constant('relayRefused' as const),
    prefix: bytes8,
    why: fc.constantFrom('unknown' as const, 'over-budget' as const),
  }),
)
const unbounded: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant('relay' as const), prefix: bytes8, datagram: data }),
  fc.record({
    type: fc.constant('relayed' as const),
    prefix: bytes8,
    datagram: data,
    isChained: fc.boolean(),
  }),
)
const plaintext = fc
  .tuple(
    fc.array(bounded, { minLength: 1, maxLength: 8 }),
    fc.option(unbounded, { nil: undefined }),
    fc.boolean(),
  )
  .map(([frames, last, toEnd]) => ({
    frames: (last === undefined ? frames : [...frames, last]).map(plain),
    toEnd,
  }))
  .filter(({ frames }) => encode(frames).length <= PLAINTEXT_BYTES_MAX)

test('frames have the layout of the frozen vectors', () => {
  for (const { name, hex, frames, toEnd, decodeOnly } of readVectors().frames) {
    assert.deepEqual(decodeFrames(bytesOf(hex)), frames, name)
    if (decodeOnly !== true) assert.equal(toHex(encode(frames, toEnd)), hex, name)
  }
})

test('the malformed vectors are malformed', () => {
  for (const { name, hex } of readVectors().malformed)
    assert.equal(decodeFrames(bytesOf(hex)), MALFORMED, name)
})

test('whatever frames are written are read back', () => {
  fc.assert(
    fc.property(plaintext, ({ frames, toEnd }) => {
      assert.deepEqual(decodeFrames(encode(frames, toEnd)), frames)
    }),
    { seed: 3, numRuns: 1000 },
  )
})

test('changed, cut and lengthened bytes never throw', () => {
  const mutation = fc.tuple(fc.nat(1500), fc.nat(255), fc.constantFrom('set', 'cut', 'insert'))
  fc.assert(
    fc.property(plaintext, fc.array(mutation, { minLength: 1, maxLength: 4 }), (whole, changes) => {
      let bytes = Array.from(encode(whole.frames, whole.toEnd))
      for (const [at, value, how] of changes) {
        const index = at % (bytes.length + 1)
        if (how === 'set' && index < bytes.length) bytes[index] = value
        else if (how === 'cut') bytes = bytes.slice(0, index)
        else bytes.splice(index, 0, value)
      }
      const frames = decodeFrames(Uint8Array.from(bytes))
      if (frames !== MALFORMED) assert.equal(frames.length <= FRAMES_MAX, true)
    }),
    { seed: 4, numRuns: 3000 },
  )
})

test('a datagram of too many frames or bytes is malformed', () => {
  assert.notEqual(decodeFrames(new Uint8Array(FRAMES_MAX).fill(1)), MALFORMED)
  assert.equal(decodeFrames(new Uint8Array(FRAMES_MAX + 1).fill(1)), MALFORMED)
  assert.notEqual(decodeFrames(new Uint8Array(PLAINTEXT_BYTES_MAX)), MALFORMED)
  assert.equal(decodeFrames(new Uint8Array(PLAINTEXT_BYTES_MAX + 1)), MALFORMED)
})

test('data of decoded frames is a view into the datagram', () => {
  const bytes = bytesOf('120003616263')
  const frames = decodeFrames(bytes)
  assert.ok(frames !== MALFORMED, 'there is something to check')
  const [frame] = frames
  assert.ok(frame?.type === 'stream', 'there is something to check')
  assert.equal(frame.data.buffer, bytes.buffer)
})

test('acknowledgements, closing and relaying ask for no acknowledgement', () => {
  for (const { frames } of readVectors().frames)
    for (const frame of frames) {
      const silent = ['ack', 'close', 'relay', 'relayed', 'relayRefused']
      assert.equal(isAckEliciting(frame), !silent.includes(frame.type), frame.type)
    }
})
