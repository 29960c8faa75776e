import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { LAN_GROUP, LAN_PORT, LanListener } from './lan.ts'

const canUnshare = spawnSync('unshare', ['-rn', 'ip', 'link']).status === 0
const skip = !canUnshare && 'needs network namespaces (iproute2, util-linux unshare)'
const fixture = fileURLToPath(new URL('./lan.fixture.ts', import.meta.url))

/** Runs a script in a network namespace of its own; `$0 $1 $2 $3` runs a process that beacons. */
function inNamespace(script: string): string[] {
  const child = spawnSync(
    'unshare',
    ['-rn', 'sh', '-c', script, process.execPath, '--import', 'tsx', fixture],
    { encoding: 'utf8', timeout: 30_000 },
  )
  assert.equal(child.stderr, '')
  return child.stdout
    .trim()
    .split('\n')
    .sort((a, b) => (a < b ? -1 : 1))
}

test('two processes of a machine with nothing but loopback find each other', { skip }, () => {
  const found = inNamespace('ip link set lo up; $0 $1 $2 $3 & $0 $1 $2 $3 & wait')
  assert.deepEqual(found, ['answered by 127.0.0.1', 'answered by 127.0.0.1'])
})

test('two machines on one link without routes find each other', { skip }, () => {
  const found = inNamespace(`
    unshare -n sh -c '
      until ip link show right >/dev/null 2>&1; do sleep 0.05; done
      ip address add 10.1.0.2/24 dev right
      ip link set right up
      exec $0 $1 $2 $3' $0 $1 $2 $3 &
    sleep 0.2
    ip link add left type veth peer name right netns $!
    ip address add 10.1.0.1/24 dev left
    ip link set left up
    $0 $1 $2 $3 & wait`)
  assert.deepEqual(found, ['answered by 10.1.0.1', 'answered by 10.1.0.2'])
})

test('a network that comes after the start is joined too', { skip }, () => {
  const found = inNamespace(`
    unshare -n sh -c '
      ip link set lo up
      $0 $1 $2 $3 &
      until ip link show right >/dev/null 2>&1; do sleep 0.05; done
      ip address add 10.1.0.2/24 dev right
      ip link set right up
      wait' $0 $1 $2 $3 &
    sleep 1
    ip link add left type veth peer name right netns $!
    ip address add 10.1.0.1/24 dev left
    ip link set left up
    $0 $1 $2 $3 & wait`)
  assert.deepEqual(found, ['answered by 10.1.0.1', 'answered by 10.1.0.2'])
})

test('many listeners share the port of one machine', async () => {
  const listeners = await Promise.all([1, 2, 3].map(() => LanListener.open(() => {})))
  for (const listener of listeners) listener?.close()
  assert.ok(listeners.every((listener) => listener !== undefined))
})

test('the group is of organization-local scope and the port out of the way', () => {
  const [first = 0, second = 0] = LAN_GROUP.split('.').map(Number)
  assert.ok(first === 239 && second >= 192 && second <= 195)
  assert.ok(LAN_PORT > 60999 && LAN_PORT <= 65535)
})
