import { setTimeout as pause } from 'node:timers/promises'
import { network } from '../api/node-network.ts'
import { openStore, rememberedPeers } from '../api/node-store.ts'
import { checkOptions } from '../api/options.ts'
import { resolveAddresses } from '../api/resolve.ts'
import type { LocalAddress } from '../core/io.ts'
import { type Command, type Invocation, UsageFault } from './command.ts'
import { COMMON_HELP, COMMON_OPTIONS, networkOptions, numberOf } from './common-options.ts'
import { type Diagnosis, diagnose } from './diagnose.ts'
import {
  type AskedPeer,
  askedPeer,
  isWhole,
  LIFETIME_S,
  type Picture,
  pictureOf,
} from './picture.ts'
import type { Printer } from './printer.ts'

const SECONDS_DEFAULT = 8
/** An hour: the longest silence measured is minutes. */
const SECONDS_MAX = 3_600
const LOOK_MS = 100
/** Guess: facts that belong together come within this. */
const SETTLED_MS = 1_000
/** Guess: a path that replaces a relay takes this long in most cases. */
const SETTLED_RELAYED_MS = 3_000

const HELP = `latica doctor: what is this peer behind, who reaches it, and why not.

It runs a peer for some seconds, asks the peers it knows (given, met before, or on this network) how
they see it, and says in plain words what that means.

Usage: latica doctor [options]

Examples:
  latica doctor                            with the peers this user met before
  latica doctor --peer 192.0.2.7:9777      ask that one too; two see more than one
  latica doctor --seconds 60               also measure what the router forgets in silence
  latica doctor --json | jq -r .verdict

It ends with:
  0  reachable    anyone reaches this peer directly
     punchable    anyone does, once another peer introduced them
  1               wrong usage, or a fault
  2  unanswered   peers were asked and nobody outside answered: UDP is blocked, or they are off
     nobody       nobody answered and nobody was known to be asked
     offline      this machine has no network
  3  limited      some peers reach this one only through a relay
     relayed      every peer outside does
  4  lan          peers on this network answered, nobody outside was asked
     unknown      peers answered, but too few to tell

Options:
  --seconds <n>      look for at most this long (default: ${SECONDS_DEFAULT}); from ${LIFETIME_S} on, all of it
${COMMON_HELP}`

export const doctor: Command = {
  name: 'doctor',
  summary: 'what is this peer behind, who reaches it, and why not',
  help: HELP,
  options: { ...COMMON_OPTIONS, seconds: { type: 'string' } },
  usageCode: 1,
  async run(invocation: Invocation): Promise<number> {
    const { values, positionals, print, terminal } = invocation
    if (positionals.length > 0)
      throw new UsageFault(`latica doctor takes no ${JSON.stringify(positionals[0])}.`)
    const seconds = numberOf(values, 'seconds') ?? SECONDS_DEFAULT
    if (seconds < 1 || seconds > SECONDS_MAX)
      throw new UsageFault(`--seconds needs 1 to ${SECONDS_MAX}, got ${seconds}.`)
    const options = await networkOptions(values)
    const picture = await look(options, seconds, terminal.interrupted)
    const diagnosis = diagnose(picture)
    render(diagnosis, print)
    return diagnosis.exitCode
  },
}

type Options = Awaited<ReturnType<typeof networkOptions>>

/** Runs a peer until the picture is whole and has settled, the time is over, or the user interrupts. */
async function look(options: Options, seconds: number, stop: AbortSignal): Promise<Picture> {
  const checked = checkOptions(options)
  const { storage, notice } = await openStore(checked)
  const asked: AskedPeer[] = [
    ...checked.peers.map((peer) => askedPeer(peer, 'given')),
    ...(await rememberedPeers(storage)).map((peer) => askedPeer(peer, 'remembered')),
  ]
  const faults = new Set(notice === undefined ? [] : [notice.message])
  const socket = await network({ ...options, storage })
  socket.on('#error', (error) => {
    if (faults.size < FAULTS_MAX) faults.add(error instanceof Error ? error.message : String(error))
  })
  for (const [index, peer] of checked.peers.entries())
    void resolveAddresses(peer).then(
      (addresses) => {
        asked[index] = { ...askedPeer(peer, 'given'), addresses }
      },
      () => {},
    )
  const begun = performance.now()
  const pictureNow = () =>
    pictureOf(socket, {
      seconds: (performance.now() - begun) / 1000,
      asked: [...asked],
      isLanOn: checked.lan,
      isPortMappingOn: checked.portMapping,
      onlyHost: checked.host,
      faults: [...faults],
    })
  let picture = pictureNow()
  let changedAt = begun
  while (!stop.aborted && performance.now() - begun < seconds * 1000) {
    await pause(LOOK_MS, undefined, { signal: stop }).catch(() => {})
    const before = fingerprint(picture)
    picture = pictureNow()
    const now = performance.now()
    if (fingerprint(picture) !== before) changedAt = now
    const isRelayed = picture.peers.some(({ path }) => path === 'relayed')
    const settledMs = isRelayed ? SETTLED_RELAYED_MS : SETTLED_MS
    if (isWhole(picture, seconds) && now - changedAt >= settledMs) break
  }
  await socket.close()
  return picture
}

/** A port that the machine refuses is refused again and again. */
const FAULTS_MAX = 5

/** What must stand still before the picture counts as settled. Peers come and go, ports vary. */
function fingerprint({ info: { state, observed, nat } }: Picture): string {
  const hosts = (addresses: readonly LocalAddress[]) => addresses.map(({ host }) => host)
  return JSON.stringify([state, hosts(observed), { ...nat, external: hosts(nat.external) }])
}

function render(diagnosis: Diagnosis, print: Printer): void {
  const { exitCode: _, ...fields } = diagnosis
  const { summary, findings, advice } = diagnosis
  const lines = [
    ...summary,
    ...findings.map(({ text }) => `  ${text}`),
    ...(advice.length > 0 ? ['Advice:', ...advice.map((text) => `  - ${text}`)] : []),
  ]
  print('doctor', fields, lines.join('\n'))
}
