import { type ExecFileSyncOptions, execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { undoAfter } from './undo.fixture.ts'

/**
 * Hosts, links and bridges of our own: network namespaces of the Linux kernel. Nothing here has an
 * interface, route or rule in the machine's own network, and all of it goes with the test. What a test
 * that was killed left behind goes when the next one starts.
 */

let commands = 0

/** Where iproute2 keeps the names of namespaces. */
const FOLDER = '/run/netns'

/** False, or what a test that needs namespaces says when it skips. */
export const namespacesMissing: string | false = (() => {
  if (process.getuid?.() !== 0) return 'needs root, to make network namespaces'
  const name = `${prefix()}-try`
  try {
    sweep()
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
    execute(file, [...words, 'sh', '-c', `echo ${value} > /proc/sys/${path}`])
  }

  /** Several such settings at once. */
  settings(values: Readonly<Record<string, string>>): void {
    const lines = Object.entries(values).map(([path, value]) => `echo ${value} > /proc/sys/${path}`)
    this.run(['sh', '-e'], lines.join('\n'))
  }

  /** Several commands of `ip`, there, each a line. */
  batch(lines: readonly string[]): void {
    const input = lines.join('\n')
    execute('ip', ['-n', this.#namespace, '-batch', '-'], { input })
  }

  /** Runs a command there and waits for it: what it printed. */
  run(command: readonly string[], input = ''): string {
    const [file = '', ...words] = [...this.prefix, ...command]
    return execute(file, words, { input })
  }

  /** A cable to another host: each end has its interface name and, unless empty, an address. */
  cable(end: string, address: string, other: Host, otherEnd: string, otherAddress: string): void {
    this.ip('link', 'add', end, 'type', 'veth', 'peer', 'name', otherEnd, 'netns', other.#namespace)
    this.#up(end, address)
    other.#up(otherEnd, otherAddress)
  }

  /** A cable, and what else each host is to do then: commands of `ip`. Few processes, for many hosts. */
  wire(
    [end, lines]: readonly [string, readonly string[]],
    other: Host,
    [otherEnd, otherLines]: readonly [string, readonly string[]],
  ): void {
    const cable = `type veth peer name ${otherEnd} netns ${other.#namespace}`
    this.batch([`link add ${end} ${cable}`, `link set ${end} up`, ...lines])
    other.batch([`link set ${otherEnd} up`, ...otherLines])
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

/** Programmes that this process has run so far to make and configure hosts: what a lab costs. */
export function commandsRun(): number {
  return commands
}

/**
 * Deletes the namespaces of processes that are gone: only a signal that cannot be caught leaves any.
 * Those with our own pid are of one that had it before us.
 */
function sweep(): void {
  for (const name of existsSync(FOLDER) ? readdirSync(FOLDER) : []) {
    const pid = Number(/^latica-test-(\d+)-/.exec(name)?.[1])
    if (Number.isNaN(pid) || (pid !== process.pid && isRunning(pid))) continue
    try {
      ip('netns', 'del', name)
    } catch {
      // Another test that starts at the same time was quicker.
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function prefix(): string {
  return `latica-test-${process.pid}`
}

function ip(...words: string[]): void {
  execute('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function execute(
  file: string,
  words: readonly string[],
  options: ExecFileSyncOptions = {},
): string {
  commands++
  return execFileSync(file, words, { ...options, encoding: 'utf8' })
}
