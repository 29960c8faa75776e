import assert from 'node:assert/strict'
import { test } from 'node:test'
import vm from 'node:vm'
import fc from 'fast-check'
import { MALFORMED } from '../core/errors.ts'
import { decodeValue, encodeValue, VALUE_DEPTH_MAX } from './values.ts'

const RUNS = { seed: 7, numRuns: 400 }

function roundTrip(value: unknown): unknown {
  return decodeValue(encodeValue(value))
}

const wellFormed = fc.string({ unit: 'binary' })
const arbitrary: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(null, undefined, true, false, Number.NaN, Infinity, -Infinity, -0, 0),
    fc.double(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.bigInt(),
    wellFormed,
    fc.uint8Array(),
    fc.date({ noInvalidDate: true }),
  ),
  node: fc.oneof(
    { maxDepth: 5 },
    tie('leaf'),
    fc.array(tie('node'), { maxLength: 5 }),
    fc.dictionary(wellFormed, tie('node'), { maxKeys: 5, noNullPrototype: true }),
    fc
      .uniqueArray(fc.tuple(tie('leaf'), tie('node')), { selector: ([key]) => key, maxLength: 5 })
      .map((entries) => new Map(entries)),
  ),
})).node

test('every value arrives as the type it left', () => {
  fc.assert(
    fc.property(arbitrary, (value) => assert.deepStrictEqual(roundTrip(value), value)),
    RUNS,
  )
})

test('the corners of each type survive', () => {
  const corners = [
    -0,
    Number.MAX_SAFE_INTEGER + 2,
    Number.MIN_VALUE,
    5n,
    -1n,
    2n ** 64n,
    -(2n ** 70n),
    '\uFEFFstarts with a byte order mark',
    { '\uFEFF\uFEFFtwo of them, in a key of some length': '\uFEFF' },
    new Date(-1),
    new Date(8.64e15),
    new Date(-8.64e15 + 1),
    new Map<unknown, unknown>([
      [{ a: 1 }, [undefined]],
      [undefined, null],
    ]),
    { b: 1, a: 2, '': { c: undefined } },
    JSON.parse('{"__proto__": {"polluted": true}}'),
  ]
  for (const corner of corners) assert.deepStrictEqual(roundTrip(corner), corner)
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
  assert.equal((roundTrip(new Date(Number.NaN)) as Date).getTime(), Number.NaN)
})

test('the order of keys is kept', () => {
  assert.deepEqual(Object.keys(roundTrip({ zebra: 1, a: 2, mm: 3 }) as object), [
    'zebra',
    'a',
    'mm',
  ])
  const map = new Map([
    ['zebra', 1],
    ['a', 2],
  ])
  assert.deepEqual([...(roundTrip(map) as Map<string, number>).keys()], ['zebra', 'a'])
})

test('a Buffer arrives as a Uint8Array with the same bytes', () => {
  assert.deepStrictEqual(roundTrip(Buffer.from([1, 2])), Uint8Array.of(1, 2))
})

test('objects without a prototype and of another realm arrive as plain objects', () => {
  assert.deepStrictEqual(roundTrip(Object.assign(Object.create(null), { a: 1 })), { a: 1 })
  assert.deepStrictEqual(roundTrip(vm.runInNewContext('({ a: [1] })')), { a: [1] })
})

test('what cannot be sent is refused at once, naming the place', () => {
  const cycle: { self?: unknown } = {}
  cycle.self = { again: cycle }
  const bad: [unknown, RegExp][] = [
    [() => 1, /^value: .* got a function$/],
    [{ a: [1, Symbol('x')] }, /^value\.a\[1\]: .* got a symbol$/],
    [{ 'a b': new Set() }, /^value\["a b"\]: .* got a Set$/],
    [new Map([['k', new Promise(() => {})]]), /^value\.get\("k"\): .* got a Promise$/],
    [cycle, /^value\.self\.again: .* contains itself$/],
    [
      new (class Point {
        x = 1
      })(),
      /^value: .* got a Point$/,
    ],
    [new Float32Array(1), /^value: .* got a Float32Array$/],
    [nested(VALUE_DEPTH_MAX + 1), /levels of nesting/],
  ]
  for (const [value, message] of bad)
    assert.throws(
      () => encodeValue(value),
      (error: TypeError & { code?: string }) =>
        error instanceof TypeError && error.code === 'EBADVALUE' && message.test(error.message),
    )
})

test('the same object twice is no cycle', () => {
  const point = { x: 1 }
  assert.deepStrictEqual(roundTrip([point, point]), [point, point])
})

test('nesting up to the bound arrives, of arrays and of maps', () => {
  assert.deepStrictEqual(roundTrip(nested(VALUE_DEPTH_MAX)), nested(VALUE_DEPTH_MAX))
  let maps: unknown = 1
  for (let i = 0; i < VALUE_DEPTH_MAX; i++) maps = new Map([[1, maps]])
  assert.deepStrictEqual(roundTrip(maps), maps)
})

test('received bytes never throw, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      decodeValue(bytes)
    }),
    { seed: 7, numRuns: 5_000 },
  )
  fc.assert(
    fc.property(arbitrary, fc.nat(), fc.nat(255), (value, at, byte) => {
      const bytes = encodeValue(value).slice()
      bytes[at % bytes.length] = byte
      decodeValue(bytes)
    }),
    RUNS,
  )
})

test('hostile bytes are refused: deep, endless, truncated, trailing, repeated, unknown', () => {
  const hostile = [
    [],
    Array.from({ length: 100_000 }, () => 0x81),
    Array.from({ length: 100_000 }, () => 0xc1),
    [0x9b, 0, 0, 0, 1, 0, 0, 0, 0, 0],
    [0x9f, 0xff],
    [0x42, 1],
    [0x01, 0x01],
    [0xa2, 0x61, 0x61, 1, 0x61, 0x61, 2],
    [0xd8, 0x40, 0x41, 1],
    [0xc0, 0x61, 0x61],
    [0xc1, 0x61, 0x61],
    [0xc2, 0x01],
    [0xd9, 0x01, 0x03, 0x80],
  ]
  for (const bytes of hostile) assert.equal(decodeValue(Uint8Array.from(bytes)), MALFORMED)
})

test('a megabyte of bigint is read in linear time', () => {
  const bytes = encodeValue(2n ** 8_000_000n - 1n)
  const value = decodeValue(bytes)
  assert.equal(value, 2n ** 8_000_000n - 1n)
})

function nested(depth: number): unknown {
  let value: unknown = 1
  for (let i = 0; i < depth; i++) value = [value]
  return value
}
