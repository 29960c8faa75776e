import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint, Instant, LocalAddress, NatVector, PeerId } from '../io.ts'
import { SOCKET_IPV4, SOCKET_SCRATCH } from '../io.ts'
import type { Route } from '../session/route.ts'
import type { SessionPath } from '../session/session-path.ts'
import { ScratchSockets } from './scratch-sockets.ts'
import { Succession, type SuccessionSession } from './succession.ts'
import { UNKNOWN_NAT } from './vector.ts'

const LIFETIME_MS = 60_000
const MORTAL: NatVector = {
  ...UNKNOWN_NAT,
  mapping: 'endpoint-independent',
  isTranslated: true,
  absoluteLifetimeMs: LIFETIME_MS,
}

/** A session with a remote that takes every path it is offered, or none. */
class Remote {
  readonly tried: Endpoint[] = []
  readonly told: { address: LocalAddress; atMs: number }[] = []
  readonly session: SuccessionSession
  isTalking = true
  isFollowing = true
  usedAt = 0
  #endpoint: Endpoint = { kind: 'udp', socket: SOCKET_IPV4, host: '44.0.0.1', port: 1 }
  #activatedAt = 0

  constructor(lab: Lab, name: string, isInitiator = true) {
    const remote = this
    this.session = {
      peer: name as PeerId,
      isInitiator,
      state: 'up',
      path: 'direct',
      get usedAt() {
        return remote.usedAt as Instant
      },
      get route(): Route {
        return { kind: 'udp', endpoint: remote.#endpoint }
      },
      get paths() {
        const activatedAt = remote.#activatedAt as Instant
        return [{ route: { kind: 'udp', endpoint: remote.#endpoint }, activatedAt } as SessionPath]
      },
      retire() {},
      letGo() {},
      tryRoute(route) {
        if (route.kind !== 'udp') return
        remote.tried.push(route.endpoint)
        if (!remote.isFollowing) return
        remote.#endpoint = route.endpoint
        remote.#activatedAt = lab.nowMs
      },
    }
  }

  get socket(): number {
    return this.#endpoint.socket
  }
}

class Lab {
  nowMs = 0
  nat = MORTAL
  readonly remotes: Remote[] = []
  readonly open = new Set<number>()
  readonly scratch = new ScratchSockets({
    bind: (socket) => this.open.add(socket),
    unbind: (socket) => this.open.delete(socket),
  })
  openMax = 0
  opened = 0
  readonly succession = new Succession(
    {
      scratch: this.scratch,
      host: {
        nat: () => this.nat,
        sessions: () => this.remotes.map(({ session }) => session),
        whereIs: (socket, now, done) => {
          this.opened++
          done({ host: '198.18.0.1', port: socket }, now)
        },
        tellAlso: (peer, address, now) => {
          const remote = this.remotes.find(({ session }) => session.peer === peer)
          remote?.told.push({ address, atMs: now })
        },
      },
    },
    0 as Instant,
  )

  add(name: string, isInitiator = true): Remote {
    const remote = new Remote(this, name, isInitiator)
    this.remotes.push(remote)
    return remote
  }

  run(forMs: number): void {
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs; ) {
      this.nowMs += 500
      for (const remote of this.remotes) if (remote.isTalking) remote.usedAt = this.nowMs
      const due = this.succession.deadline()
      if (due !== undefined && due.at <= this.nowMs) {
        this.succession.onDeadline(this.nowMs as Instant)
      }
      this.openMax = Math.max(this.openMax, this.open.size)
    }
  }
}

test('a path in use moves to a fresh socket before its mapping ends, again and again', () => {
  const lab = new Lab()
  const [first, second] = [lab.add('first'), lab.add('second', false)]
  lab.run(600_000)
  for (const { told, tried } of [first, second]) {
    assert.ok(told.length >= 600 / (0.6 * 60) - 1 && told.length <= 600 / (0.6 * 60) + 3)
    assert.deepEqual(
      told.map(({ address }) => address.port),
      tried.map(({ socket }) => socket),
      'the remote is told of the socket that writes to it',
    )
    for (const [i, { atMs }] of told.entries()) {
      assert.ok(atMs - (told[i - 1]?.atMs ?? atMs) < 0.9 * LIFETIME_MS, 'in time')
    }
  }
  assert.ok(lab.opened < first.told.length + 4, 'sessions share a fresh socket')
  assert.ok(lab.openMax <= 4, `${lab.openMax} sockets at once`)
})

test('nothing happens for a path that is not in use, or while no lifetime is known', () => {
  const idle = new Lab()
  idle.add('idle').isTalking = false
  idle.run(300_000)
  assert.equal(idle.opened, 0)
  for (const nat of [
    { ...MORTAL, absoluteLifetimeMs: undefined },
    { ...MORTAL, isTranslated: false },
    { ...MORTAL, mapping: 'endpoint-dependent' as const },
  ]) {
    const lab = new Lab()
    lab.nat = nat
    lab.add('talking')
    lab.run(10_000)
    assert.equal(lab.opened, 0)
    assert.equal(lab.succession.deadline(), undefined)
  }
})

test('a remote that does not follow is asked ever more rarely, and its sockets close', () => {
  const lab = new Lab()
  const remote = lab.add('deaf')
  remote.isFollowing = false
  lab.run(600_000)
  assert.equal(remote.socket, SOCKET_IPV4)
  assert.ok(remote.tried.length > 2 && remote.tried.length <= 8, `${remote.tried.length} tries`)
  assert.ok(lab.openMax <= 4)
  lab.run(120_000)
  remote.isTalking = false
  lab.run(60_000)
  assert.equal(lab.open.size, 0)
})

test('the sockets close when nobody is left on them, or the network changes', () => {
  const lab = new Lab()
  const remote = lab.add('remote')
  lab.run(20_000)
  assert.ok(remote.socket >= SOCKET_SCRATCH)
  lab.remotes.pop()
  lab.run(60_000)
  assert.equal(lab.open.size, 0)
  lab.add('another')
  lab.run(20_000)
  assert.equal(lab.open.size, 1)
  lab.succession.networkChanged()
  assert.equal(lab.open.size, 0)
})
