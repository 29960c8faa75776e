import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Input, PortMapping } from '../core/io.ts'
import type { DriverTrace } from './drive.ts'
import type { MaybePromise } from './ports.ts'

import {
  ADDRESS,
  bind,
  DIAL,
  FROM,
  ONLINE,
  Rig,
  store,
  tick,
  transmit,
  unbind,
} from './rig.fixture.ts'

test('outputs are performed in the order the core gave them', () => {
  const rig = new Rig()
  rig.core.answer = (input) =>
    input.type === 'datagram'
      ? [store('a', 1), transmit(1), store('b', 2), transmit(2), { type: 'event', event: ONLINE }]
      : []
  rig.driver.start()
  rig.datagram(9)
  assert.deepEqual(rig.log, ['open', 'write a', 'send 1', 'write b', 'send 2', 'event state'])
})

test('events are told after the drain, so that what they command comes after what is being sent', () => {
  const rig = new Rig()
  rig.core.answer = (input) => {
    if (input.type === 'datagram') return [{ type: 'event', event: ONLINE }, transmit(1)]
    return input.type === 'command' ? [transmit(2)] : []
  }
  rig.onEvent = () => rig.driver.command(DIAL)
  rig.driver.start()
  rig.datagram(9)
  assert.deepEqual(rig.log, ['open', 'send 1', 'event state', 'send 2'])
})

test('commands from callbacks wait their turn and never nest handle', () => {
  const rig = new Rig()
  let depth = 0
  let told = 0
  rig.core.answer = () => {
    depth++
    assert.equal(depth, 1)
    depth--
    return [{ type: 'event', event: ONLINE }]
  }
  rig.onEvent = () => {
    told++
    if (told > 50) return
    const before = rig.core.inputs.length
    rig.driver.command(DIAL)
    assert.equal(rig.core.inputs.length, before)
  }
  rig.driver.start()
  rig.datagram(9)
  assert.equal(told, 51)
  assert.equal(rig.core.inputs.length, 51)
})

test('what a transport lends inside a send is copied before it is handled', () => {
  const rig = new Rig()
  const lent = Uint8Array.of(7)
  rig.core.answer = (input) => {
    if (input.type !== 'datagram') return []
    return input.data[0] === 9 ? [transmit(1)] : []
  }
  rig.onSend = () => {
    rig.receiver?.datagram(FROM, lent)
    lent[0] = 0
  }
  rig.driver.start()
  rig.datagram(9)
  const second = rig.core.inputs[1]
  assert.equal(second?.type === 'datagram' ? second.data[0] : undefined, 7)
})

test('one timer is armed, at the deadline, and moved only when the deadline comes nearer', () => {
  const rig = new Rig()
  rig.driver.start()
  rig.core.deadlineAt = 100
  rig.datagram(1)
  rig.core.deadlineAt = 200
  rig.datagram(2)
  assert.deepEqual(rig.armed(), [100])
  rig.core.deadlineAt = 50
  rig.datagram(3)
  assert.deepEqual(rig.armed(), [50])
  rig.core.deadlineAt = undefined
  rig.datagram(4)
  assert.deepEqual(rig.armed(), [])
})

test('a timer that fires too early is armed again and the core does not hear of it', () => {
  const rig = new Rig()
  rig.core.deadlineAt = 100
  rig.driver.start()
  rig.now = 99.5
  rig.fireTimer()
  assert.deepEqual(rig.core.inputs, [])
  assert.deepEqual(rig.armed(), [100])
  rig.now = 100
  rig.core.answer = () => {
    rig.core.deadlineAt = 300
    return []
  }
  rig.fireTimer()
  assert.deepEqual(rig.core.inputs, [{ type: 'deadline' }])
  assert.deepEqual(rig.armed(), [300])
})

test('a core that always wants waking gets one turn for each timer and lets datagrams in between', () => {
  const rig = new Rig()
  rig.core.deadlineAt = 0
  rig.driver.start()
  for (let i = 0; i < 3; i++) {
    rig.fireTimer()
    rig.datagram(i)
  }
  assert.deepEqual(
    rig.core.inputs.map((input) => input.type),
    ['deadline', 'datagram', 'deadline', 'datagram', 'deadline', 'datagram'],
  )
  assert.equal(rig.armed().length, 1)
})

test('a fault of the core is reported once, and it is never fed again', () => {
  const rig = new Rig()
  const bug = new Error('invariant: broken')
  rig.core.answer = (input) => {
    if (input.type === 'datagram' && input.data[0] === 1) throw bug
    return []
  }
  rig.core.deadlineAt = 10
  rig.driver.start()
  rig.datagram(1)
  rig.datagram(2)
  assert.deepEqual(rig.faults, [bug])
  assert.equal(rig.core.inputs.length, 1)
  assert.deepEqual(rig.armed(), [])
  assert.deepEqual(rig.log, ['open', 'close transport', 'close storage'])
  assert.throws(() => rig.driver.command(DIAL), { code: 'ECLOSED' })
})

test('a core that fails while it is polled has failed too, and the event before is still told', () => {
  const rig = new Rig()
  let polls = 0
  rig.core.poll = () => {
    if (polls++ === 0) return { type: 'event', event: ONLINE }
    throw new Error('invariant: queue')
  }
  rig.driver.start()
  assert.equal(rig.faults.length, 1)
  assert.deepEqual(rig.log, ['event state', 'close transport', 'close storage'])
})

test('an exception from a callback is reported and the events after it are told', () => {
  const rig = new Rig()
  rig.core.answer = () => [
    { type: 'event', event: ONLINE },
    { type: 'event', event: ONLINE },
  ]
  let told = 0
  rig.onEvent = () => {
    told++
    throw new Error(`callback ${told}`)
  }
  rig.driver.start()
  rig.datagram(1)
  rig.datagram(2)
  assert.equal(told, 4)
  assert.equal(rig.appErrors.length, 4)
  assert.deepEqual(rig.faults, [])
})

test('an answer of the storage that is there at once is used in the same turn', () => {
  const rig = new Rig()
  rig.core.outputs.push({ type: 'load', prefix: 'peer/' })
  const records = [{ key: 'peer/1', value: Uint8Array.of(1) }]
  rig.load = () => records
  rig.driver.start()
  assert.deepEqual(rig.core.inputs[0], { type: 'loaded', prefix: 'peer/', records })
})

test('a promise of the storage is used when it resolves, and dropped when the driver has closed', async () => {
  for (const closesFirst of [false, true]) {
    const rig = new Rig()
    rig.core.outputs.push({ type: 'load', prefix: 'peer/' })
    rig.load = () => Promise.resolve([])
    rig.driver.start()
    assert.equal(rig.core.inputs.length, 0)
    if (closesFirst) rig.driver.close()
    await tick()
    const loaded = rig.core.inputs.filter((input) => input.type === 'loaded')
    assert.equal(loaded.length, closesFirst ? 0 : 1)
  }
})

test('a failed load is reported and counts as no records, whether it throws or rejects', async () => {
  for (const load of [
    () => {
      throw new Error('disk')
    },
    () => Promise.reject(new Error('disk')),
  ]) {
    const rig = new Rig()
    rig.core.outputs.push({ type: 'load', prefix: 'x' })
    rig.load = load
    rig.driver.start()
    await tick()
    assert.deepEqual(rig.portErrors, ['storage: disk'])
    assert.deepEqual(rig.core.inputs, [{ type: 'loaded', prefix: 'x', records: [] }])
  }
})

test('a failed write is reported, whether it throws or rejects, and the driver goes on', async () => {
  for (const write of [
    () => {
      throw new Error('full')
    },
    () => Promise.reject(new Error('full')),
  ]) {
    const rig = new Rig()
    rig.write = write
    rig.core.answer = (input) => (input.type === 'datagram' ? [store('a', 1), transmit(1)] : [])
    rig.driver.start()
    rig.datagram(1)
    await tick()
    assert.deepEqual(rig.portErrors, ['storage: full'])
    assert.deepEqual(rig.log, ['open', 'write a', 'send 1'])
  }
})

test('a transport that throws is reported and the driver goes on', () => {
  const rig = new Rig()
  rig.core.answer = () => [transmit(1), transmit(2)]
  rig.onSend = () => {
    throw new Error('no buffer')
  }
  rig.driver.start()
  rig.datagram(1)
  assert.deepEqual(rig.portErrors, ['transport: no buffer', 'transport: no buffer'])
})

test('scratch sockets are bound and let go in order with what is sent', () => {
  const rig = new Rig()
  rig.core.answer = (input) =>
    input.type === 'datagram' ? [bind(16), transmit(1), unbind(16)] : []
  rig.driver.start()
  rig.datagram(9)
  assert.deepEqual(rig.log, ['open', 'bind 16', 'send 1', 'unbind 16'])
})

test('what a transport reports inside bind is handled after the outputs in hand', () => {
  const rig = new Rig()
  rig.core.answer = (input) => (input.type === 'datagram' ? [bind(16), transmit(1)] : [])
  rig.onBind = (socket) => rig.receiver?.socket(socket, 'up', [ADDRESS])
  rig.driver.start()
  rig.datagram(9)
  assert.deepEqual(rig.log, ['open', 'bind 16', 'send 1'])
  const up: Input = { type: 'socket', socket: 16, state: 'up', addresses: [ADDRESS] }
  assert.deepEqual(rig.core.inputs[1], up)
})

test('a bind or unbind that throws is reported, and after a bind the core hears that the socket is down', () => {
  const rig = new Rig()
  rig.core.answer = (input) => (input.type === 'datagram' ? [bind(16), unbind(16)] : [])
  rig.onBind = () => {
    throw new Error('no more sockets')
  }
  rig.onUnbind = () => {
    throw new Error('no such socket')
  }
  rig.driver.start()
  rig.datagram(9)
  assert.deepEqual(rig.portErrors, ['transport: no more sockets', 'transport: no such socket'])
  const down: Input = { type: 'socket', socket: 16, state: 'down', addresses: [] }
  assert.deepEqual(rig.core.inputs.slice(1), [down])
})

test('port mappings, granted and lost, reach the core until the driver has closed', () => {
  const rig = new Rig()
  rig.driver.start()
  const mapping: PortMapping = { protocol: 'pcp', external: ADDRESS }
  rig.receiver?.portMapping(mapping)
  rig.receiver?.portMapping(undefined)
  assert.deepEqual(rig.core.inputs, [
    { type: 'portMapping', mapping },
    { type: 'portMapping', mapping: undefined },
  ])
  rig.driver.close()
  rig.receiver?.portMapping(mapping)
  assert.equal(rig.core.inputs.at(-1)?.type, 'command')
})

test('closing lets the core say good-bye, then waits for every write before it closes the storage', async () => {
  const rig = new Rig()
  let finishWrite = () => {}
  rig.write = () =>
    new Promise<void>((resolve) => {
      finishWrite = resolve
    })
  rig.core.answer = (input) =>
    input.type === 'command' && input.command.type === 'close' ? [store('a', 1), transmit(1)] : []
  rig.driver.start()
  const closed = rig.driver.close()
  assert.deepEqual(rig.log, ['open', 'write a', 'send 1', 'close transport'])
  await tick()
  assert.equal(rig.log.includes('close storage'), false)
  finishWrite()
  await closed
  assert.equal(rig.log.at(-1), 'close storage')
  assert.equal(rig.log.filter((line) => line.startsWith('close')).length, 2)
})

test('closing answers at once when the storage does, and twice is once', () => {
  const rig = new Rig()
  rig.driver.start()
  assert.equal(rig.driver.close(), undefined)
  assert.equal(rig.driver.close(), undefined)
  assert.deepEqual(rig.log, ['open', 'close transport', 'close storage'])
  assert.equal(rig.core.inputs.length, 1)
})

test('a close from a callback happens after the events in hand, and nothing follows it', async () => {
  const rig = new Rig()
  rig.core.answer = (input) =>
    input.type === 'datagram'
      ? [
          { type: 'event', event: ONLINE },
          { type: 'event', event: ONLINE },
        ]
      : []
  const closings: MaybePromise<void>[] = []
  rig.onEvent = () => {
    if (closings.length === 0) closings.push(rig.driver.close())
    rig.driver.command(DIAL)
  }
  rig.driver.start()
  rig.datagram(1)
  await closings[0]
  assert.deepEqual(
    rig.core.inputs.map((input) => (input.type === 'command' ? input.command.type : input.type)),
    ['datagram', 'close'],
  )
  assert.deepEqual(rig.log, [
    'open',
    'event state',
    'event state',
    'close transport',
    'close storage',
  ])
})

test('the trace shows every input, output and arming, and its exceptions harm nobody', () => {
  const rig = new Rig()
  const steps: string[] = []
  rig.core.answer = () => [transmit(1)]
  rig.core.deadlineAt = 5
  rig.driver.trace = (step: DriverTrace) => {
    steps.push(step.type)
    throw new Error('devtool')
  }
  rig.driver.start()
  rig.datagram(1)
  assert.deepEqual(steps, ['armed', 'input', 'output'])
  assert.equal(rig.appErrors.length, 3)
})

test('a command before the start is refused, as is a second start', () => {
  const rig = new Rig()
  assert.throws(() => rig.driver.command(DIAL), { code: 'ECLOSED' })
  rig.driver.start()
  assert.throws(() => rig.driver.start(), { code: 'ESTARTED' })
})
