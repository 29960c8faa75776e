import { execFileSync } from 'node:child_process'
import type { TestContext } from 'node:test'
import { undoAfter } from './undo.fixture.ts'

/**
 * Hosts, links and bridges of our own: network namespaces of the Linux kernel. Nothing here has an
 * interface, route or rule in the machine's own network, and all of it goes with the test.
 */

/** False, or what a test that needs namespaces says when it skips. */
export const namespacesMissing: string | false = (() => {
  if (process.getuid?.() !== 0) return 'needs root, to make network namespaces'
  const name = `${prefix()}-try`
  try {
    ip('netns', 'add', name)
    ip('-n', name, 'link', 'set', 'lo', 'up')
    ip('netns', 'del', name)
    return false
  } catch (error) {
    return `needs iproute2 and the right to make network namespaces: ${String(error).split('\n')[0]}`
  }
})()

/** A host: a namespace with loopback up and nothing else. */
export class Host {
  readonly name: string
  readonly #namespace: string

  constructor(t: TestContext, name: string) {
    this.name = name
    this.#namespace = `${prefix()}-${name}-${counter++}`
    ip('netns', 'add', this.#namespace)
    undoAfter(t, () => ip('netns', 'del', this.#namespace))
    ip('-n', this.#namespace, 'link', 'set', 'lo', 'up')
  }

  /** How to run a command there. */
  get prefix(): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespace]
  }

  /** `ip`, there. */
  ip(...words: string[]): void {
    ip('-n', this.#namespace, ...words)
  }

  /** Writes a setting of the kernel that is the namespace's own, as `net/ipv4/ip_forward`. */
  setting(path: string, value: string): void {
    const [file = '', ...words] = this.prefix
    execFileSync(file, [...words, 'sh', '-c', `echo ${value} > /proc/sys/${path}`])
  }

  /** A cable to another host: each end has its interface name and, unless empty, an address. */
  cable(end: string, address: string, other: Host, otherEnd: string, otherAddress: string): void {
    this.ip('link', 'add', end, 'type', 'veth', 'peer', 'name', otherEnd, 'netns', other.#namespace)
    this.#up(end, address)
    other.#up(otherEnd, otherAddress)
  }

  #up(end: string, address: string): void {
    if (address !== '') this.ip('addr', 'add', address, 'dev', end)
    this.ip('link', 'set', end, 'up')
  }
}

/** A switch: every host gets `eth0` with the address given for it, on one link. */
export function bridged(t: TestContext, hosts: readonly (readonly [Host, string])[]): Host {
  const bridge = new Host(t, 'bridge')
  bridge.ip('link', 'add', 'br0', 'type', 'bridge')
  bridge.ip('link', 'set', 'br0', 'up')
  for (const [i, [host, address]] of hosts.entries()) {
    host.cable('eth0', address, bridge, `port${i}`, '')
    bridge.ip('link', 'set', `port${i}`, 'master', 'br0')
    host.ip('route', 'add', 'default', 'dev', 'eth0')
  }
  return bridge
}

/** A router: each host is alone on a link, 198.18.n.2/24 (RFC 2544), and reaches the others over it. */
export function routed(t: TestContext, hosts: readonly Host[]): Host {
  const router = new Host(t, 'router')
  router.setting('net/ipv4/ip_forward', '1')
  for (const [i, host] of hosts.entries()) {
    const net = `198.18.${i + 1}`
    host.cable('eth0', `${net}.2/24`, router, `port${i}`, `${net}.1/24`)
    host.ip('route', 'add', 'default', 'via', `${net}.1`)
  }
  return router
}

let counter = 0

function prefix(): string {
  return `latica-test-${process.pid}`
}

function ip(...words: string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] })
}
