import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../api/types.ts'
import type { NatVector, PortMapping } from '../core/io.ts'
import { UNKNOWN_NAT } from '../core/nat/vector.ts'
import { type Diagnosis, diagnose, type Verdict } from './diagnose.ts'
import { type AskedPeer, isWhole, type Picture } from './picture.ts'

const OWN = { host: '192.168.1.5', port: 4000 }
const PUBLIC = { host: '198.18.3.1', port: 40_021 }
const IPV6 = { host: '2001:db8::5', port: 4000 }

function peer(byte: string, path: Connection['path'], more: Partial<Connection> = {}): Connection {
  return { peerId: byte.repeat(32), path, rtt: 20, relay: undefined, nat: undefined, ...more }
}

const DIRECT = [peer('a1', 'direct'), peer('a2', 'direct')]
const LAN = [peer('b1', 'lan')]

function asked(host: string, id?: string): AskedPeer {
  const addresses = [{ host, port: 9777 }]
  return { name: `${host}:9777`, peer: id, addresses, origin: 'given' }
}

function picture(
  nat: Partial<NatVector>,
  more: Partial<Picture> & Partial<Pick<Picture['info'], 'observed' | 'local' | 'relays'>> = {},
): Picture {
  const { observed = [], local = [OWN], relays = [], ...rest } = more
  return {
    seconds: 8,
    info: { state: 'online', observed, local, nat: { ...UNKNOWN_NAT, ...nat }, relays },
    peers: DIRECT,
    asked: [],
    requests: 12,
    otherVersions: 0,
    isLanOn: true,
    isPortMappingOn: true,
    onlyHost: undefined,
    faults: [],
    ...rest,
  }
}

const EIM: Partial<NatVector> = {
  mapping: 'endpoint-independent',
  isTranslated: true,
  external: [PUBLIC],
  hairpin: false,
}
const EDM: Partial<NatVector> = {
  mapping: 'endpoint-dependent',
  filtering: 'address-and-port-dependent',
  isTranslated: true,
}
const OPEN: Partial<NatVector> = {
  mapping: 'endpoint-independent',
  isTranslated: false,
  external: [PUBLIC],
}

function mapped(host: string): PortMapping {
  return { protocol: 'upnp', external: { host, port: 7777 } }
}

function textOf({ summary, findings, advice }: Diagnosis): string {
  return [...summary, ...findings.map(({ text }) => text), ...advice].join('\n')
}

function stateOf(diagnosis: Diagnosis, id: string): string | undefined {
  return diagnosis.findings.find((finding) => finding.id === id)?.state
}

const NOBODY = { peers: [] }

/** What is before the peer, what it must be told, and what it must not be told. */
const CASES: readonly [
  name: string,
  seen: Picture,
  verdict: Verdict,
  exitCode: number,
  says: RegExp,
  not?: RegExp,
][] = [
  [
    'a public address without a firewall',
    picture({ ...OPEN, filtering: 'endpoint-independent' }, { local: [PUBLIC] }),
    'reachable',
    0,
    /No router changes the address.*nothing holds strangers back\.\nAnyone reaches you directly/,
    /Port mapping|hairpin|Advice/,
  ],
  [
    'a public address behind a firewall',
    picture({ ...OPEN, filtering: 'address-and-port-dependent' }, { local: [PUBLIC] }),
    'punchable',
    0,
    /No router.*a firewall lets in only who you wrote to first\.\n.*hole punching/,
    /Anyone reaches|strangers back/,
  ],
  [
    'a router that lets in anyone',
    picture({ ...EIM, filtering: 'endpoint-independent' }),
    'reachable',
    0,
    /keeps one address.*lets in anyone\.\nAnyone reaches you directly/,
  ],
  [
    'a router that filters by address',
    picture({ ...EIM, filtering: 'address-dependent' }),
    'punchable',
    0,
    /keeps one address.*only machines that you wrote to first/,
    /Anyone reaches/,
  ],
  [
    'a router that filters by address and port',
    picture({ ...EIM, filtering: 'address-and-port-dependent', lifetimeMs: 60_000 }),
    'punchable',
    0,
    /lets in only who you wrote to first\.[\s\S]*198\.18\.3\.1:40021 \(the peers asked agree\)[\s\S]*at least 60 s/,
    /Anyone reaches/,
  ],
  [
    'a router that keeps one address and whose filtering is not known',
    picture(EIM),
    'punchable',
    0,
    /keeps one address.*whom it lets in is not known yet/,
    /Anyone reaches/,
  ],
  [
    'a symmetric router with random ports',
    picture({ ...EDM, allocation: 'random' }),
    'limited',
    3,
    /another port for every remote.*symmetric.*nobody can foresee[\s\S]*friendlier[\s\S]*UPnP, NAT-PMP or PCP/,
    /at least|Anyone reaches you/,
  ],
  [
    'a symmetric router with sequential ports',
    picture({ ...EDM, allocation: 'sequential' }),
    'limited',
    3,
    /counting up.*foreseen[\s\S]*Most peers reach you directly/,
  ],
  [
    "a carrier's router",
    picture({ ...EDM, allocation: 'random', isCarrier: true }),
    'limited',
    3,
    /carrier-grade[\s\S]*Changing your own router does not help/,
    /Switch on UPnP/,
  ],
  [
    'a symmetric router that forwards a port',
    picture({ ...EDM, portMapping: mapped('198.18.3.1') }),
    'reachable',
    0,
    /at the address that the router forwards\.[\s\S]*forwards 198\.18\.3\.1:7777 to this peer \(asked by UPnP\)/,
  ],
  [
    'a forwarding that ends at a second router',
    picture({ ...EDM, portMapping: mapped('100.64.0.9'), isCarrier: true }),
    'limited',
    3,
    /forwards 100\.64\.0\.9:7777.*another router stands before that one/,
    /Anyone reaches/,
  ],
  [
    'UDP blocked: several machines are silent',
    picture({}, { ...NOBODY, asked: [asked('198.18.0.7'), asked('198.18.0.8', 'c1')] }),
    'unanswered',
    2,
    /No answer to 12 requests to 2 peers: this network seems to let no UDP out\. Latica needs UDP[\s\S]*198\.18\.0\.7:9777, 198\.18\.0\.8:9777[\s\S]*hotspot/,
    /Behind a router/,
  ],
  [
    'one silent machine, which proves nothing',
    picture({}, { ...NOBODY, asked: [asked('198.18.0.7')], requests: 1 }),
    'unanswered',
    2,
    /No answer to 1 request to 1 peer: either it is off, or this network lets no UDP out[\s\S]*A second peer to ask/,
    /seems to/,
  ],
  [
    'silent machines of which all are on a local network',
    picture({}, { ...NOBODY, asked: [asked('192.168.1.9'), asked('10.0.0.9')] }),
    'unanswered',
    2,
    /only addresses on local networks were asked[\s\S]*192\.168\.1\.9:9777/,
    /lets? no UDP out/,
  ],
  [
    'UDP blocked outside while this network works',
    picture(
      {},
      {
        peers: LAN,
        asked: [asked('198.18.0.7', 'c1'.repeat(32)), asked('198.18.0.8', 'c2'.repeat(32))],
      },
    ),
    'unanswered',
    2,
    /seems to let no UDP out/,
  ],
  [
    'a name that leads nowhere',
    picture({}, { ...NOBODY, asked: [asked('nowhere.example')] }),
    'unanswered',
    2,
    /the names given lead to no address[\s\S]*nowhere\.example:9777[\s\S]*spelling/,
    /lets? no UDP out|No answer/,
  ],
  [
    'nobody to ask',
    picture({}, NOBODY),
    'nobody',
    2,
    /there was nobody to ask[\s\S]*--peer/,
    /UDP out/,
  ],
  [
    'no network at all',
    picture({}, { ...NOBODY, local: [], asked: [asked('198.18.0.7')] }),
    'offline',
    2,
    /has no network[\s\S]*Connect to a network/,
    /UDP out/,
  ],
  [
    'loopback alone, as the user wished',
    picture({}, { ...NOBODY, local: [{ host: '127.0.0.1', port: 1 }], onlyHost: '127.0.0.1' }),
    'offline',
    2,
    /With --host 127\.0\.0\.1 only this machine[\s\S]*Leave --host out/,
  ],
  [
    'peers on this network alone',
    picture({}, { peers: LAN }),
    'lan',
    4,
    /Nobody outside was asked, so whether others reach you is unknown[\s\S]*1 on this network/,
    /Anyone reaches you|UDP out/,
  ],
  [
    'a peer given by its address, which may be the one on this network',
    picture({}, { peers: LAN, asked: [asked('198.18.0.7')] }),
    'lan',
    4,
    /Nobody was met outside it[\s\S]*198\.18\.0\.7:9777: among the peers on this network, or silent/,
    /was asked|UDP out/,
  ],
  [
    'IPv6 alone',
    picture({}, { local: [IPV6], observed: [IPV6] }),
    'punchable',
    0,
    /IPv6 alone, and nothing changes its address[\s\S]*IPv6: yes, \[2001:db8::5\]:4000/,
    /[Pp]ort mapping|hairpin/,
  ],
  [
    'IPv6 alone, and nobody said how it looks from outside',
    picture({}, { local: [IPV6] }),
    'unknown',
    4,
    /IPv6: this machine has 2001:db8::5, but no peer has said that it works/,
    /nothing changes/,
  ],
  [
    'one peer outside, too few to tell',
    picture({ external: [PUBLIC] }, { peers: [peer('a1', 'direct')] }),
    'unknown',
    4,
    /too few to tell[\s\S]*one peer says so; a second would confirm[\s\S]*it takes two/,
    /keeps one address for|another port for/,
  ],
  [
    'two peers outside, and not enough time',
    picture({}, { seconds: 1 }),
    'unknown',
    4,
    /more --seconds/,
  ],
  [
    'everyone outside behind a relay',
    picture({}, { peers: [peer('a1', 'relayed', { relay: 'b1'.repeat(32) }), ...LAN] }),
    'relayed',
    3,
    /through a relay; why is not known/,
  ],
  [
    'another version that answers',
    picture({}, { ...NOBODY, asked: [asked('198.18.0.7'), asked('198.18.0.8')], otherVersions: 3 }),
    'unknown',
    4,
    /3 datagrams of another version[\s\S]*versions differ/,
    /lets? no UDP out/,
  ],
]

for (const [name, seen, verdict, exitCode, says, not] of CASES) {
  test(`the truth is told of ${name}`, () => {
    const diagnosis = diagnose(seen)
    const text = textOf(diagnosis)
    assert.equal(diagnosis.verdict, verdict, text)
    assert.equal(diagnosis.exitCode, exitCode)
    assert.match(text, says)
    if (not !== undefined) assert.doesNotMatch(text, not)
    assert.doesNotMatch(text, /undefined|null|NaN|\[object/)
  })
}

test('what is not known is said to be unknown, with what would settle it', () => {
  const found = diagnose(picture({}, { peers: [peer('a1', 'direct')] })).findings
  for (const id of ['address', 'hairpin', 'lifetime'])
    assert.equal(found.find((finding) => finding.id === id)?.state, 'unknown', id)
  assert.match(found.find(({ id }) => id === 'lifetime')?.text ?? '', /--seconds 45/)
})

test('what was measured in vain is not promised again', () => {
  assert.match(textOf(diagnose(picture(EIM, { seconds: 60 }))), /less than 30 s, or nobody was/)
  const symmetric = textOf(diagnose(picture(EDM)))
  assert.match(symmetric, /hairpin\): unknown; no attempt got through/)
  assert.doesNotMatch(symmetric, /more time would tell/)
})

test('a relayed peer is named with its relay and the reason, when the reason is known', () => {
  const relay = 'a1'.repeat(32)
  const both: NatVector = { ...UNKNOWN_NAT, ...EDM, allocation: 'random' }
  const theirs = (nat: NatVector | undefined) => {
    const peers = [...DIRECT, peer('c1', 'relayed', { relay, nat })]
    const diagnosis = diagnose(picture(both, { peers, relays: [relay] }))
    assert.deepEqual(diagnosis.relayedBy, [{ relay, peers: ['c1'.repeat(32)] }])
    return textOf(diagnosis)
  }
  assert.match(theirs(both), /c1c1c1c1 is relayed by a1a1a1a1: both routers change the port/)
  assert.match(theirs(undefined), /has not said what it is behind/)
  assert.match(theirs({ ...UNKNOWN_NAT, ...EIM }), /why is not known/)
  assert.match(theirs(UNKNOWN_NAT), /does not know yet/)
})

test('the ways in say who can use them and where', () => {
  const how = (seen: Picture) => diagnose(seen).reachable.map((way) => [way.how, way.address])
  assert.deepEqual(how(picture({ ...EIM, filtering: 'endpoint-independent' })), [
    ['direct', '198.18.3.1:40021'],
  ])
  assert.deepEqual(how(picture(EIM)), [
    ['punching', '198.18.3.1:40021'],
    ['relay', undefined],
  ])
  assert.deepEqual(how(picture({ ...EDM, allocation: 'sequential' }, { observed: [IPV6] })), [
    ['foreseen-port', undefined],
    ['ipv6', '[2001:db8::5]:4000'],
    ['relay', undefined],
  ])
  assert.deepEqual(how(picture({}, NOBODY)), [])
  assert.deepEqual(how(picture({}, { peers: LAN })), [['lan', '192.168.1.5:4000']])
})

test('as JSON it has the same keys whatever is known', () => {
  const keys = (seen: Picture) => {
    const { nat, ...rest } = JSON.parse(JSON.stringify(diagnose(seen)))
    return [Object.keys(rest), Object.keys(nat)]
  }
  const full = { ...EIM, lifetimeMs: 1, absoluteLifetimeMs: 2, portMapping: mapped('198.18.3.1') }
  assert.deepEqual(keys(picture({}, NOBODY)), keys(picture(full)))
})

test('many silent peers are named up to a few and counted beyond', () => {
  const many = Array.from({ length: 300 }, (_, i) => asked(`198.18.${i >> 8}.${i & 255}`))
  const diagnosis = diagnose(picture({}, { ...NOBODY, asked: many }))
  assert.equal(stateOf(diagnosis, 'unanswered'), 'bad')
  assert.match(textOf(diagnosis), /198\.18\.0\.5:9777, and 294 more/)
})

test('a picture is whole when waiting adds nothing', () => {
  const known = { ...EIM, filtering: 'address-dependent' } as const
  assert.ok(isWhole(picture(known), 8))
  assert.ok(!isWhole(picture(known), 60), 'time to measure lifetimes is used')
  assert.ok(!isWhole(picture(EIM), 8), 'the filtering is not known')
  assert.ok(!isWhole(picture(known, { seconds: 1 }), 8), 'the router may yet grant a port')
  assert.ok(isWhole(picture(known, { seconds: 1, isPortMappingOn: false }), 8))
  const symmetric = picture(EDM, { seconds: 1, isPortMappingOn: false })
  assert.ok(isWhole(symmetric, 8), 'its hairpin cannot be measured')
  assert.ok(isWhole(picture({}, { ...NOBODY, isLanOn: false }), 8), 'nobody can answer')
  assert.ok(!isWhole(picture({}, NOBODY), 8), 'somebody on this network may')
})
