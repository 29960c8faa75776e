import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant } from '../../io.ts'
import { QUEUED_PACKETS_MAX, UNDER_WAY_MAX } from './link.ts'
import { heldPacket, type Neighbour, SpreadBench, shortName } from './neighbours.fixture.ts'
import { DEGREE, FELLOWS_MAX, SHUN_MS } from './spread.ts'
import {
  INTEREST_TAGS_MAX,
  KIND_HAVE,
  KIND_HELD,
  KIND_LACK,
  KIND_WANT,
  SHORTS_MAX,
} from './spread-messages.ts'

const FLUSH_MS = 5
const isPushedTo = ({ packets }: Neighbour) => packets.length > 0
const isTold = (neighbour: Neighbour) => neighbour.of(KIND_HAVE).length > 0

/** A network of 1,024 in which everyone keeps everything. */
function wide(neighbours: number): SpreadBench {
  const bench = new SpreadBench()
  bench.networkSize = 1024
  for (let i = 0; i < neighbours; i++) bench.neighbour()
  return bench
}

test('a publisher pushes to twelve neighbours, and to its fellows while these are not too many', () => {
  for (const [fellows, others, pushes] of [
    [0, 5, 5],
    [0, 40, DEGREE],
    [30, 0, 30],
    [30, 40, 30 + DEGREE],
    [FELLOWS_MAX, 1, FELLOWS_MAX + 1],
    [FELLOWS_MAX + 1, 0, FELLOWS_MAX],
  ] as const) {
    const bench = wide(fellows + others)
    for (const { peer } of bench.neighbours.slice(0, fellows)) bench.fellows.add(peer)
    const held = bench.hold(1)
    bench.spread.publish(held, bench.now, () => {})
    const got = bench.who(isPushedTo)
    assert.equal(got.length, pushes, `${fellows} fellows, ${others} others`)
    for (const { packets } of got)
      assert.deepEqual(packets, [
        { short: shortName(held), copies: packets[0]?.copies, wantsReceipt: true },
      ])
    bench.pass(FLUSH_MS)
    assert.deepEqual(bench.who(isTold), [])
  }
})

// 512 copies of 1,024: 12 go out, and each may become 41 more, which is written as 37.
test('half of those that a packet is for get a pushed copy, and who gets one may push its share', () => {
  for (const [networkSize, copies] of [
    [1024, 37],
    [4 * DEGREE, 1],
    [2 * DEGREE, 0],
    [DEGREE, 0],
    [2 ** 40, 46_339],
  ] as const) {
    const bench = wide(DEGREE)
    bench.networkSize = networkSize
    bench.spread.publish(bench.hold(1), bench.now, () => {})
    for (const { packets } of bench.neighbours) assert.equal(packets[0]?.copies, copies)
  }
})

// Turns red when a share is not divided, or when a remote may name more copies than half of us.
test('a packet that is new is pushed on while its copies last, and the others are told', () => {
  for (const [copies, pushes, each] of [
    [undefined, 0, 0],
    [0, 0, 0],
    [2, 2, 0],
    [37, DEGREE, 2],
    [46_339, DEGREE, 37],
  ] as const) {
    const bench = wide(40)
    const held = bench.hold(1)
    const stranger = new SpreadBench().neighbour().peer
    bench.spread.forward(held, stranger, copies, bench.now)
    const pushed = bench.who(isPushedTo)
    const from = pushed.some(({ peer }) => peer === stranger) ? 1 : 0
    assert.equal(from, 0, 'not back to who sent it')
    assert.equal(pushed.length, pushes, `${copies} copies`)
    for (const { packets } of pushed)
      assert.deepEqual(packets, [{ short: shortName(held), copies: each, wantsReceipt: false }])
    assert.deepEqual(bench.who(isTold), [])
    bench.pass(FLUSH_MS)
    const told = bench.who(isTold)
    assert.equal(told.length + pushed.length >= DEGREE - 1, true)
    assert.equal(told.length + pushed.length <= DEGREE, true)
    assert.ok(!told.some(isPushedTo), 'nobody gets it in both forms')
    assert.equal(bench.spread.counters.packetsPushed, pushed.length)
    assert.equal(bench.spread.counters.packetsAnnounced, told.length)
  }
})

// Turns red when `forward` looks neither at `from` nor at `known`.
test('nothing is sent to who has it: who sent it, announced it, holds it, or has been sent it', () => {
  const bench = wide(6)
  const held = bench.hold(1)
  const short = shortName(held)
  const [from, announced, holds, brought, pushed, other] = bench.neighbours
  assert.ok(from && announced && holds && brought && pushed && other)
  bench.spread.offer(pushed.peer, [held])
  bench.says(announced, KIND_HAVE, short)
  bench.says(holds, KIND_HELD, short)
  bench.spread.seen(brought.peer, short)
  for (const copies of [100, 0]) {
    bench.spread.forward(held, from.peer, copies, bench.now)
    bench.pass(FLUSH_MS)
  }
  const got = bench.who((neighbour) => isPushedTo(neighbour) || isTold(neighbour))
  assert.deepEqual(got, [pushed, other])
  assert.equal(pushed.packets.length, 1)
  assert.equal(other.packets.length, 1)
  assert.deepEqual(other.of(KIND_HAVE), [])
})

test('announcements of five milliseconds go together, but for what the neighbour has by then', () => {
  const bench = wide(2)
  const [from, other] = bench.neighbours
  assert.ok(from && other)
  const packets = Array.from({ length: SHORTS_MAX + 12 }, (_, i) => bench.hold(i + 1))
  for (const held of packets) {
    bench.spread.forward(held, from.peer, undefined, bench.now)
    bench.now = (bench.now + 0.02) as Instant
  }
  const shorts = packets.map(shortName)
  bench.says(other, KIND_HAVE, shorts[5] ?? '')
  bench.spread.onDeadline((bench.now + 1) as Instant)
  assert.deepEqual(other.of(KIND_HAVE), [], 'not before their time')
  bench.pass(FLUSH_MS)
  const told = other.of(KIND_HAVE)
  assert.deepEqual(
    told.map(({ length }) => length),
    [SHORTS_MAX, 11],
  )
  assert.deepEqual(
    told.flat(),
    shorts.filter((_, i) => i !== 5),
  )
  assert.equal(bench.spread.deadline(), undefined)
  bench.spread.forward(packets[0] ?? heldPacket(0), from.peer, undefined, bench.now)
  bench.pass(FLUSH_MS)
  assert.equal(other.of(KIND_HAVE).length, 2, 'told once')
})

// Turns red when `#choose` leaves the lonely ones out.
test('of forty neighbours always the same twelve hear of a tag, others of another, the lonely of all', () => {
  const bench = wide(38)
  const lonely = [bench.neighbour({ links: 5 }), bench.neighbour({ links: 1 })]
  const seen = new Set<Neighbour>()
  for (let tag = 0; tag < 40; tag++) {
    const digits = tag.toString(16).padStart(2, '0').repeat(32)
    const chosen = [1, 2].map((round) => {
      bench.spread.forward(
        bench.hold(100 * tag + round, digits),
        bench.neighbours[0]?.peer ?? ('' as never),
        undefined,
        bench.now,
      )
      bench.pass(FLUSH_MS)
      const told = bench.who(isTold)
      for (const { got } of bench.neighbours) got.length = 0
      return told
    })
    assert.deepEqual(chosen[0], chosen[1])
    const count = chosen[0]?.length ?? 0
    assert.equal(count >= DEGREE - 1 && count <= DEGREE + lonely.length, true)
    for (const each of lonely) assert.equal(chosen[0]?.includes(each), true)
    for (const each of chosen[0] ?? []) seen.add(each)
  }
  assert.ok(seen.size >= 38, 'every neighbour serves some tag')
})

test('two peers choose differently, and who sleeps or does not answer is chosen last', () => {
  const chosenBy = (seed: number) => {
    const bench = new SpreadBench(seed)
    bench.networkSize = 1024
    for (let i = 0; i < 60; i++) {
      const neighbour = bench.neighbour()
      neighbour.isDormant = i % 3 === 0
      neighbour.isSilent = i % 3 === 1
    }
    bench.spread.publish(bench.hold(1), bench.now, () => {})
    const pushed = bench.who(isPushedTo)
    assert.equal(
      pushed.every(({ isDormant, isSilent }) => !isDormant && !isSilent),
      true,
    )
    return pushed.map(({ peer }) => peer).join()
  }
  assert.notEqual(chosenBy(1), chosenBy(2))
})

test('in a large network a packet goes to who follows it, who keeps it, and towards its place', () => {
  const bench = new SpreadBench()
  bench.isSmall = false
  bench.isOurs = false
  bench.networkSize = 1024
  const tag = 'ab'.repeat(32)
  const follower = bench.neighbour({ tags: [tag.slice(0, 32)] })
  const everything = bench.neighbour({ isEverything: true })
  const custodian = bench.neighbour()
  const nearer = bench.neighbour()
  const fellow = bench.neighbour()
  bench.neighbour({ tags: ['cd'.repeat(16)] })
  bench.neighbour({ isSilent: true })
  bench.custodians.add(custodian.peer)
  bench.nearer.push(nearer.peer)
  bench.fellows.add(fellow.peer)
  bench.spread.publish(bench.hold(1, tag), bench.now, () => {})
  assert.deepEqual(bench.who(isPushedTo), [follower, everything, custodian, nearer, fellow])
  bench.isOurs = true
  bench.spread.publish(bench.hold(2, tag), bench.now, () => {})
  assert.equal(nearer.packets.length, 1, 'it is at its place already')
  assert.equal(custodian.packets.length, 2)
})

test('in a large network a publisher gives its packet to more, nearest its place first, until enough hold it', () => {
  const bench = new SpreadBench()
  bench.isSmall = false
  bench.isOurs = false
  bench.networkSize = 1024
  const silent = bench.neighbour()
  const others = Array.from({ length: 20 }, () => bench.neighbour())
  bench.custodians.add(silent.peer)
  const held = bench.hold(1, '0'.repeat(64))
  bench.spread.publish(held, bench.now, () => {})
  bench.pass(499)
  assert.deepEqual(bench.who(isPushedTo), [silent])
  bench.pass(1)
  assert.deepEqual(bench.who(isPushedTo), [silent, ...others.slice(0, 6)])
  bench.says(others[0] ?? silent, KIND_HELD, shortName(held))
  bench.pass(1_000)
  const [custodian] = others
  assert.ok(custodian)
  assert.deepEqual(
    bench.who(isPushedTo),
    [silent, ...others.slice(0, 6)],
    'its one taker was enough',
  )
  bench.isSmall = true
  bench.spread.publish(bench.hold(2), bench.now, () => {})
  const before = bench.who(({ packets }) => packets.length > 0).length
  bench.pass(1_000)
  assert.equal(bench.who(({ packets }) => packets.length > 0).length, before, 'not in a small one')
})

test('neighbours are told what we follow, or that we keep everything, and again when it changes', () => {
  const bench = new SpreadBench()
  const tags = Array.from({ length: INTEREST_TAGS_MAX + 5 }, (_, i) =>
    i.toString(16).padStart(64, '0'),
  )
  bench.followed = tags
  const neighbour = bench.neighbour()
  assert.deepEqual(neighbour.interests, [{ kind: 0x38, isEverything: true, links: 1, tags: [] }])
  bench.isSmall = false
  bench.spread.interestChanged()
  const told = neighbour.interests.at(-1)
  assert.equal(told?.isEverything, false)
  assert.deepEqual(
    told?.tags,
    tags.slice(0, INTEREST_TAGS_MAX).map((tag) => tag.slice(0, 32)),
  )
  bench.spread.interestChanged()
  assert.equal(neighbour.interests.length, 2, 'only when it changes')
})

test('who follows a mailbox is told to its custodians alone', () => {
  const bench = new SpreadBench()
  bench.isSmall = false
  const [open, secret] = ['ab'.repeat(32), 'cd'.repeat(32)]
  bench.followed = [open]
  const [neighbour, custodian] = [bench.neighbour(), bench.neighbour()]
  bench.custodians.add(custodian.peer)
  bench.secret = [secret]
  bench.spread.interestChanged()
  const toldTo = ({ interests }: typeof neighbour) => interests.at(-1)?.tags
  assert.deepEqual(toldTo(neighbour), [open.slice(0, 32)])
  assert.deepEqual(toldTo(custodian), [open.slice(0, 32), secret.slice(0, 32)])
  const before = neighbour.interests.length
  bench.secret = [secret, 'ef'.repeat(32)]
  bench.spread.interestChanged()
  assert.equal(toldTo(custodian)?.length, 3)
  assert.equal(neighbour.interests.length, before, 'no others hear of a change that is not theirs')
})

test('a WANT is answered with the packet, which is not pushed on, or a LACK', () => {
  const bench = wide(2)
  const [asker] = bench.neighbours
  assert.ok(asker)
  const held = bench.hold(1)
  const unknown = shortName(heldPacket(99))
  bench.says(asker, KIND_WANT, unknown, shortName(held))
  assert.deepEqual(asker.packets, [
    { short: shortName(held), copies: undefined, wantsReceipt: false },
  ])
  assert.deepEqual(asker.of(KIND_LACK), [[unknown]])
})

test('what is announced is asked for after 10 ms, of the next after 20 ms and one and a quarter trips', () => {
  const bench = wide(3)
  const [first, second, third] = bench.neighbours
  assert.ok(first && second && third)
  const short = shortName(heldPacket(7))
  for (const each of [first, second, third]) bench.says(each, KIND_HAVE, short)
  const asked = () => bench.neighbours.map((each) => each.of(KIND_WANT).length)
  bench.pass(9)
  assert.deepEqual(asked(), [0, 0, 0])
  bench.pass(1)
  assert.deepEqual(asked(), [1, 0, 0])
  bench.pass(20 + 125 - 1)
  assert.deepEqual(asked(), [1, 0, 0])
  bench.pass(1)
  assert.deepEqual(asked(), [1, 1, 0])
  bench.says(first, KIND_LACK, short)
  bench.pass(0)
  assert.deepEqual(asked(), [1, 1, 1], 'a LACK moves on at once')
  bench.spread.settled(short)
  bench.pass(10_000)
  assert.deepEqual(asked(), [1, 1, 1], 'it is here')
  assert.equal(bench.spread.counters.packetsWanted, 3)
})

test('what is here, or was, is not asked for', () => {
  const bench = wide(1)
  const [neighbour] = bench.neighbours
  assert.ok(neighbour)
  bench.says(neighbour, KIND_HAVE, shortName(bench.hold(1)))
  bench.pass(1000)
  assert.deepEqual(neighbour.of(KIND_WANT), [])
})

// Turns red when `admits` does not ask the budget, or when a want is not reckoned against it.
test('who floods is admitted within its budget, and asked for the rest within it too', () => {
  const bench = wide(2)
  const [flooder, honest] = bench.neighbours
  assert.ok(flooder && honest)
  let admitted = 0
  const count = 8000
  for (let i = 1; i <= count; i++)
    if (bench.spread.admits(flooder.peer, shortName(heldPacket(i)), 1000, bench.now)) admitted++
  assert.equal(admitted, 2000, 'a burst of 2 MB')
  assert.equal(bench.spread.admits(honest.peer, shortName(heldPacket(9000)), 1000, bench.now), true)
  let asked = 0
  const answer = (ms: number) => {
    const end = bench.now + ms
    while (bench.now < end) {
      bench.pass(10)
      const wanted = flooder.of(KIND_WANT).flat()
      flooder.got.length = 0
      asked += wanted.length
      for (const short of wanted) {
        assert.ok(bench.spread.admits(flooder.peer, short, 1000, bench.now), 'it was asked for')
        bench.spread.settled(short)
      }
    }
  }
  answer(1000)
  assert.ok(asked > 1000 && asked <= 1_000_000 / 600, `${asked}`)
  answer(5000)
  assert.equal(asked, count - admitted, 'in the end everything is asked for, once')
})

test('after comparing, a neighbour may send as many as it was found to have', () => {
  const bench = wide(1)
  const [neighbour] = bench.neighbours
  assert.ok(neighbour)
  const admits = (number: number) =>
    bench.spread.admits(neighbour.peer, shortName(heldPacket(number)), 1_000_000, bench.now)
  assert.deepEqual([1, 2, 3].map(admits), [true, true, false])
  bench.spread.expect(neighbour.peer, 2)
  assert.deepEqual([4, 5, 6].map(admits), [true, true, false])
  bench.spread.expect(neighbour.peer, 1e9)
  let admitted = 0
  for (let i = 10; i < 40_000; i++) if (admits(i)) admitted++
  assert.equal(admitted, 32_768)
})

// Turns red when `faulted` counts nothing.
test('a remote that sends three unauthentic packets is not listened to for ten minutes', () => {
  const bench = wide(2)
  const [liar, honest] = bench.neighbours
  assert.ok(liar && honest)
  const short = shortName(heldPacket(1))
  const admits = (each: Neighbour) => bench.spread.admits(each.peer, short, 100, bench.now)
  for (let i = 0; i < 2; i++) bench.spread.faulted(liar.peer, bench.now)
  assert.equal(admits(liar), true)
  bench.spread.faulted(liar.peer, bench.now)
  assert.equal(!admits(liar), true)
  assert.equal(admits(honest), true)
  bench.says(liar, KIND_HAVE, short)
  bench.pass(1000)
  assert.deepEqual(liar.of(KIND_WANT), [])
  bench.pass(SHUN_MS)
  assert.equal(admits(liar), true)
})

// Turns red when the queue has no turns.
test('a busy tag does not delay the others: each tag sends one in turn', () => {
  const bench = wide(1)
  const [slow] = bench.neighbours
  assert.ok(slow)
  const offer = (number: number, tag: string) =>
    bench.spread.offer(slow.peer, [bench.hold(number, tag)])
  for (let i = 0; i < UNDER_WAY_MAX + 100; i++) offer(i + 1, 'aa'.repeat(32))
  const quiet = [5001, 5002].map((number) => bench.hold(number, 'bb'.repeat(32)))
  bench.spread.offer(slow.peer, quiet)
  assert.equal(slow.packets.length, UNDER_WAY_MAX, 'no more is under way')
  for (let i = 0; i < 4; i++) slow.acks.shift()?.()
  const next = slow.packets.slice(UNDER_WAY_MAX).map(({ short }) => short)
  const isQuiet = next.map((short) => quiet.some((held) => shortName(held) === short))
  assert.deepEqual(isQuiet, [false, true, false, true])
})

// Turns red when what does not fit into the queue is neither sent nor told.
test('what a neighbour takes too slowly to be sent is told to it instead', () => {
  const bench = wide(1)
  const [slow] = bench.neighbours
  assert.ok(slow)
  const extra = 300
  for (let i = 0; i < UNDER_WAY_MAX + QUEUED_PACKETS_MAX + extra; i++)
    bench.spread.publish(bench.hold(i + 1), bench.now, () => {})
  assert.equal(slow.packets.length, UNDER_WAY_MAX)
  assert.deepEqual(slow.of(KIND_HAVE), [], 'it could not take them either')
  slow.ackAll()
  const sent = slow.packets.map(({ short }) => short)
  assert.equal(sent.length, UNDER_WAY_MAX + QUEUED_PACKETS_MAX)
  const all = [...bench.packets.values()].map(shortName)
  assert.deepEqual([...sent, ...slow.of(KIND_HAVE).flat()], all)
})

test('what a comparison found lacking is given after everything else, and not what came meanwhile', () => {
  const bench = wide(1)
  const [neighbour] = bench.neighbours
  assert.ok(neighbour)
  const lacking = Array.from({ length: UNDER_WAY_MAX + 3 }, (_, i) => bench.hold(i + 1))
  const names = lacking.map(({ name }) => name)
  bench.spread.give(neighbour.peer, [...names, heldPacket(77_777).name])
  const fresh = bench.hold(9999)
  bench.spread.publish(fresh, bench.now, () => {})
  bench.spread.seen(neighbour.peer, shortName(lacking.at(-1) ?? fresh))
  neighbour.ackAll()
  const got = neighbour.packets.map(({ short }) => short)
  const expected = [
    ...lacking.slice(0, UNDER_WAY_MAX),
    fresh,
    ...lacking.slice(UNDER_WAY_MAX, UNDER_WAY_MAX + 2),
  ]
  assert.deepEqual(got, expected.map(shortName))
  assert.ok(
    neighbour.packets.every(
      ({ copies, short }) => copies === undefined || short === shortName(fresh),
    ),
  )
})

test('what waits for a neighbour without contact is sent when it is back, and lost with its session', () => {
  const bench = wide(2)
  const [back, gone] = bench.neighbours
  assert.ok(back && gone)
  const held = bench.hold(1)
  for (const each of [back, gone]) {
    bench.spread.sessionLost(each.port)
    bench.spread.offer(each.peer, [held])
    assert.deepEqual(each.packets, [])
  }
  assert.deepEqual(bench.spread.links(), [])
  bench.spread.sessionBack(back.port)
  assert.equal(back.packets.length, 1)
  bench.spread.sessionGone(gone.port, bench.now)
  bench.spread.sessionBack(gone.port)
  assert.equal(bench.spread.link(gone.peer), undefined)
  assert.deepEqual(gone.packets, [])
})
