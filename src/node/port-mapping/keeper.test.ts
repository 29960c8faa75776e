import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Instant, PortMapping, PortMappingProtocol, UnixMs } from '../../core/io.ts'
import type { Clock } from '../../driver/ports.ts'
import { PortMappingKeeper } from './keeper.ts'
import type { Lease, Probe } from './lease.ts'
import type { Uplink } from './uplink.ts'

const HOUR = 3_600_000
const HOME: Uplink = { host: '192.168.7.2', gateway: { host: '192.168.7.1', port: 5351 } }

/** Time that passes when the test says so. A machine asleep has its wall clock alone go on. */
class StillClock implements Clock {
  #now = 1_000
  #wall = 5_000_000
  #timers: { readonly when: number; readonly wake: () => void }[] = []

  now = () => this.#now as Instant
  wall = () => this.#wall as UnixMs

  at(when: Instant, wake: () => void): () => void {
    const timer = { when, wake }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  get timers(): number {
    return this.#timers.length
  }

  sleep(ms: number): void {
    this.#wall += ms
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await settled()
      const [next] = this.#timers.toSorted((a, b) => a.when - b.when)
      if (next === undefined || next.when > end) break
      this.#timers = this.#timers.filter((other) => other !== next)
      this.#wall += Math.max(0, next.when - this.#now)
      this.#now = Math.max(this.#now, next.when)
      next.wake()
    }
    this.#wall += end - this.#now
    this.#now = end
    await settled()
  }
}

/** Whatever follows without time passing has followed. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** A router that speaks one protocol, and what it was asked. */
class Router {
  readonly did: string[] = []
  host = '1.2.3.1'
  port = 4242
  lifetimeMs = HOUR
  isThere = true
  readonly #protocol: PortMappingProtocol

  constructor(protocol: PortMappingProtocol) {
    this.#protocol = protocol
  }

  probe: Probe = async () => {
    this.did.push('probe')
    return this.isThere ? async () => this.#grant('map') : undefined
  }

  #grant(what: string): Lease | undefined {
    this.did.push(what)
    if (!this.isThere) return undefined
    const external = { host: this.host, port: this.port }
    return {
      mapping: { protocol: this.#protocol, external },
      lifetimeMs: this.lifetimeMs,
      renew: async () => this.#grant('renew'),
      release: async () => void this.did.push('release'),
    }
  }
}

const world = (...routers: Router[]) => worldAt(HOME, ...routers)

function worldAt(uplink: Uplink | undefined, ...routers: Router[]) {
  const clock = new StillClock()
  const told: (PortMapping | undefined)[] = []
  const place: { uplink: Uplink | undefined } = { uplink }
  const keeper = new PortMappingKeeper(
    {
      port: 4242,
      clock,
      probes: routers.map(({ probe }) => probe),
      readUplink: async () => place.uplink,
      on: (mapping) => void told.push(mapping),
    },
    ['192.168.7.2'],
  )
  return { clock, told, place, keeper }
}

test('the most preferred protocol is used, and the others map nothing', async () => {
  const [pcp, upnp] = [new Router('pcp'), new Router('upnp')]
  const { clock, told, keeper } = world(pcp, upnp)
  await clock.pass(0)
  assert.deepEqual(told, [{ protocol: 'pcp', external: { host: '1.2.3.1', port: 4242 } }])
  assert.deepEqual(upnp.did, ['probe'])
  await keeper.close()
  assert.deepEqual(pcp.did, ['probe', 'map', 'release'])
  assert.deepEqual(upnp.did, ['probe'])
  assert.equal(clock.timers, 0, 'nothing keeps the process alive')
  assert.equal(told.length, 1)
})

test('what one protocol cannot, or only with nonsense, the next one does', async () => {
  const [pcp, pmp, upnp] = [new Router('pcp'), new Router('nat-pmp'), new Router('upnp')]
  pcp.host = '0.0.0.0'
  pmp.isThere = false
  const { clock, told, keeper } = world(pcp, pmp, upnp)
  await clock.pass(0)
  assert.equal(told[0]?.protocol, 'upnp')
  assert.deepEqual(pcp.did, ['probe', 'map', 'release'], 'the unusable one goes back')
  await keeper.close()
})

test('an address behind another NAT is told, and addresses of nobody are not', async () => {
  for (const host of ['192.168.1.5', '10.0.0.9', '100.64.3.4']) {
    const router = new Router('upnp')
    router.host = host
    const { clock, told, keeper } = world(router)
    await clock.pass(0)
    assert.equal(told[0]?.external.host, host)
    await keeper.close()
  }
  const port = 4242
  for (const external of [
    { host: '127.0.0.1', port },
    { host: '224.0.0.1', port },
    { host: '255.255.255.255', port },
    { host: '2001:db8::1', port },
    { host: 'example.org', port },
    { host: '1.2.3.1', port: 0 },
    { host: '1.2.3.1', port: 65_536 },
    { host: '1.2.3.1', port: Number.NaN },
  ]) {
    const router = Object.assign(new Router('upnp'), external)
    const { clock, told, keeper } = world(router)
    await clock.pass(0)
    assert.deepEqual(told, [], JSON.stringify(external))
    await keeper.close()
  }
})

test('a lease is renewed at half its life; only a change is told', async () => {
  const router = new Router('pcp')
  const { clock, told, keeper } = world(router)
  await clock.pass(HOUR / 2 - 1_000)
  assert.deepEqual(router.did, ['probe', 'map'])
  await clock.pass(2_000)
  assert.deepEqual(router.did, ['probe', 'map', 'renew'])
  assert.equal(told.length, 1)
  router.port = 4343
  await clock.pass(HOUR / 2)
  assert.deepEqual(
    told.map((mapping) => mapping?.external.port),
    [4242, 4343],
  )
  await keeper.close()
})

test('a lease that no renewal reaches lasts to its end, is told lost and searched for anew', async () => {
  const router = new Router('pcp')
  const { clock, told, keeper } = world(router)
  await clock.pass(0)
  router.isThere = false
  await clock.pass(HOUR - 60_000)
  assert.equal(told.length, 1, 'still believed')
  await clock.pass(120_000)
  assert.deepEqual(told.slice(1), [undefined])
  const renewals = router.did.filter((did) => did === 'renew').length
  assert.ok(renewals > 3 && renewals < 15, `${renewals} renewals`)
  router.isThere = true
  await clock.pass(600_000)
  assert.equal(told.length, 3)
  assert.equal(told[2]?.external.port, 4242)
  await keeper.close()
})

test('a machine that slept renews within a minute of waking', async () => {
  const router = new Router('pcp')
  const { clock, keeper } = world(router)
  await clock.pass(1_000)
  clock.sleep(8 * HOUR)
  await clock.pass(60_000)
  assert.deepEqual(router.did, ['probe', 'map', 'renew'])
  await keeper.close()
})

test('while no router maps, it is looked for every ten minutes', async () => {
  const router = new Router('pcp')
  router.isThere = false
  const { clock, told, keeper } = world(router)
  await clock.pass(HOUR - 1_000)
  assert.equal(router.did.length, 6)
  assert.deepEqual(told, [])
  await keeper.close()
})

test('without an uplink nobody is asked', async () => {
  const router = new Router('pcp')
  const { clock, keeper } = worldAt(undefined, router)
  await clock.pass(HOUR)
  assert.deepEqual(router.did, [])
  await keeper.close()
})

test('on a change of the network the same router is asked again, another one for a new lease', async () => {
  const router = new Router('pcp')
  const { clock, told, place, keeper } = world(router)
  await clock.pass(1_000)
  keeper.networkChanged(['192.168.7.2'])
  await clock.pass(0)
  assert.deepEqual(router.did.splice(0), ['probe', 'map', 'renew'])
  place.uplink = { host: '10.0.0.5', gateway: { host: '10.0.0.1', port: 5351 } }
  router.host = '5.6.7.8'
  keeper.networkChanged(['10.0.0.5'])
  await clock.pass(0)
  assert.deepEqual(router.did.splice(0), ['probe', 'map'])
  assert.equal(told.at(-1)?.external.host, '5.6.7.8')
  place.uplink = undefined
  keeper.networkChanged([])
  await clock.pass(0)
  assert.equal(told.at(-1), undefined)
  await keeper.close()
  assert.deepEqual(router.did, [])
})

test('a router that grants moments is not asked more often than every 4 s', async () => {
  const router = new Router('pcp')
  router.lifetimeMs = 0
  const { clock, keeper } = world(router)
  await clock.pass(60_000)
  assert.ok(router.did.length <= 17, `asked ${router.did.length} times in a minute`)
  await keeper.close()
})

test('a failure in a probe is silence', async () => {
  const broken = new Router('pcp')
  broken.probe = () => Promise.reject(new Error('no socket'))
  const good = new Router('nat-pmp')
  const { clock, told, keeper } = world(broken, good)
  await clock.pass(0)
  assert.equal(told[0]?.protocol, 'nat-pmp')
  await keeper.close()
})

test('closed in the middle of a search, it gives back what comes and tells nothing', async () => {
  const router = new Router('pcp')
  const { probe } = router
  let answer = () => {}
  router.probe = async (...asked) => {
    await new Promise<void>((resolve) => {
      answer = resolve
    })
    return probe(...asked)
  }
  const { clock, told, keeper } = world(router)
  await clock.pass(0)
  const closed = keeper.close()
  answer()
  await closed
  assert.deepEqual(router.did, ['probe', 'map', 'release'])
  assert.deepEqual(told, [])
})

test('closed before it began, it asks nobody', async () => {
  const router = new Router('pcp')
  const { clock, keeper } = world(router)
  await keeper.close()
  await clock.pass(HOUR)
  assert.deepEqual(router.did, [])
})
