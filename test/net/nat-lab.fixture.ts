import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { DelayedCables } from './delayed-cable.fixture.ts'
import { Internet, LabHost, Lan } from './lab-host.fixture.ts'
import { forgetRules, natRules, type Translation } from './nat-rules.fixture.ts'

/**
 * An internet of our own, 198.18.0.0/15 (RFC 2544), and homes behind NATs of every kind, made of the
 * kernel's own network stack. It decides topology and lifetimes; the rules of a NAT are nat-rules', and
 * nat-verify tells whether a NAT is what it should be. IPv4 only. What is sent to an address that
 * nobody has vanishes silently.
 */

/**
 * Mapping and filtering as RFC 4787 names them. Endpoint-independent mapping with filtering that is
 * endpoint-independent (eif), address-dependent (adf), address-and-port-dependent (apdf); a mapping for
 * every endpoint at random ports (sym) or consecutive ones (seq); apdf behind a carrier that is apdf
 * (cgn) or sym (cgs). `open` has a public address.
 */
export type NatType = 'open' | Translation | 'cgn' | 'cgs'

export interface SiteOptions {
  readonly nat: NatType
  readonly name?: string
  readonly hosts?: number
  /** How many sites will be behind it: then it has no hosts. */
  readonly customers?: number
  /** The first host of a LAN keeps its ports; false: none does. */
  readonly isPreserving?: boolean
  /** The NAT whose customer this one is. */
  readonly behind?: Site
  /** Inside hosts reach each other at their external addresses, unfiltered and seen from there. */
  readonly hairpin?: boolean
  /** How long a mapping lives without traffic: undefined is what Linux does, 30 s, or 120 s when answered. */
  readonly lifetimeS?: number
  /** Of UDP, each way. */
  readonly lossPercent?: number
  /** Each way: `await lab.ready()` before the first packet. */
  readonly delayMs?: number
  /** No UDP passes; TCP does. */
  readonly blocked?: boolean
}

const LIFETIME_S = 120

/** Where br_netfilter is loaded, a router's rules would apply to what its hosts say to each other. */
const BRIDGE_SETTINGS = existsSync('/proc/sys/net/bridge')
  ? { 'net/bridge/bridge-nf-call-iptables': '0', 'net/bridge/bridge-nf-call-arptables': '0' }
  : {}

/** The kinds of NAT that every pair of is tried. */
export const MATRIX = ['open', 'eif', 'adf', 'apdf', 'sym', 'cgn', 'cgs'] as const

export class NatLab {
  readonly #t: TestContext
  /** Every packet between two sites is forwarded there. */
  readonly internet: Internet
  readonly #delays: DelayedCables
  #names = 0
  #carriers = 0

  constructor(t: TestContext) {
    this.#t = t
    this.internet = new Internet(t)
    this.#delays = new DelayedCables(t, this.internet)
  }

  /** A host with an address in the internet. */
  publicHost(name: string): LabHost {
    return new LabHost(this.#t, name, this.internet, 'eth0')
  }

  /** Hosts behind a NAT. */
  site(options: SiteOptions): Site {
    const { nat, behind } = options
    const name = options.name ?? `${nat}${this.#names++}`
    if (nat === 'open') return this.#openSite(name, options)
    if (nat === 'cgn' || nat === 'cgs') {
      const translation = nat === 'cgn' ? 'apdf' : 'sym'
      const carrier = this.site({ nat: translation, name: `${name}-carrier`, customers: 1 })
      return this.#natSite(name, 'apdf', { ...options, behind: carrier })
    }
    return this.#natSite(name, nat, behind === undefined ? options : { ...options, behind })
  }

  /** Two sites of each kind of the matrix, as `sym1` and `sym2`. */
  matrix(): Readonly<Record<(typeof MATRIX)[number], readonly [Site, Site]>> {
    const pair = (nat: NatType) =>
      [this.site({ nat, name: `${nat}1` }), this.site({ nat, name: `${nat}2` })] as const
    const [open, eif, adf, apdf] = [pair('open'), pair('eif'), pair('adf'), pair('apdf')]
    return { open, eif, adf, apdf, sym: pair('sym'), cgn: pair('cgn'), cgs: pair('cgs') }
  }

  /** What delays packets runs. */
  ready(): Promise<void> {
    return this.#delays.ready()
  }

  #openSite(name: string, options: SiteOptions): Site {
    const { hosts = 1, nat: _, name: __, ...rest } = options
    assert.deepEqual(rest, {}, 'an open site has no router, which all other options are about')
    return new Site({
      options,
      hosts: names(name, hosts).map((each) => this.publicHost(each)),
    })
  }

  #natSite(name: string, translation: Translation, options: SiteOptions): Site {
    const { customers = 0, behind, delayMs } = options
    const { hosts = customers > 0 ? 0 : 1 } = options
    assert.ok(delayMs === undefined || behind === undefined, 'only a cable to the internet delays')
    const near = behind?.lan ?? this.internet
    const uplink = delayMs === undefined ? near : this.#delays.by(delayMs)
    const router = new LabHost(this.#t, `${name}-router`, uplink, 'wan')
    // Two homes have the same addresses more often than not; carriers have those of RFC 6598.
    const net = customers > 0 ? `100.64.${this.#carriers++}` : '192.168.1'
    const lan = new Lan(router, net)
    const nat = new Nat(router, translation, hosts + customers, options)
    return new Site({
      options,
      hosts: names(name, hosts).map((each) => new LabHost(this.#t, each, lan, 'eth0')),
      behind: { lan, nat, router, carrier: behind },
    })
  }
}

interface SiteParts {
  readonly options: SiteOptions
  readonly hosts: readonly LabHost[]
  readonly behind?: {
    readonly lan: Lan
    readonly nat: Nat
    readonly router: LabHost
    readonly carrier: Site | undefined
  }
}

/** Hosts and the NAT they are behind. */
export class Site {
  readonly options: SiteOptions
  readonly hosts: readonly LabHost[]
  readonly #behind: SiteParts['behind']

  constructor({ options, hosts, behind }: SiteParts) {
    this.options = options
    this.hosts = hosts
    this.#behind = behind
  }

  /** The first host, which is all that most sites have. */
  get host(): LabHost {
    const [host] = this.hosts
    assert.ok(host, 'this site has no host')
    return host
  }

  get router(): LabHost {
    return this.#parts.router
  }

  /** The NAT that this one is a customer of. */
  get carrier(): Site | undefined {
    return this.#behind?.carrier
  }

  /** Where sites and hosts behind this NAT are attached. */
  get lan(): Lan {
    return this.#parts.lan
  }

  /** What the internet sees. */
  get externalAddress(): string {
    if (this.#behind === undefined) return this.host.address
    return this.carrier?.externalAddress ?? this.router.address
  }

  /** The router starts again: every mapping is forgotten. Its carrier's are not. */
  reset(): void {
    this.#parts.nat.forget()
  }

  /** The router gets another address from whoever it is a customer of, and forgets every mapping. */
  renumber(): string {
    const address = this.router.changeAddress()
    this.#parts.nat.load()
    return address
  }

  get #parts(): NonNullable<SiteParts['behind']> {
    assert.ok(this.#behind, 'an open site has no router')
    return this.#behind
  }
}

/** The translation of a router. */
class Nat {
  readonly #router: LabHost
  readonly #translation: Translation
  readonly #hosts: number
  readonly #options: SiteOptions
  #zone = 0

  constructor(router: LabHost, translation: Translation, hosts: number, options: SiteOptions) {
    const { hairpin = false, lifetimeS } = options
    const isPort = translation === 'sym' || translation === 'seq'
    assert.ok(!(isPort && hairpin), 'hairpin needs a mapping that does not depend on who asks')
    this.#router = router
    this.#translation = translation
    this.#hosts = hosts
    this.#options = options
    const lifetimes = ['', '_stream'].map((kind) => `nf_conntrack_udp_timeout${kind}`)
    // Only once the rules are loaded does the router track connections.
    this.load()
    router.settings({
      'net/ipv4/ip_forward': '1',
      ...BRIDGE_SETTINGS,
      ...(lifetimeS !== undefined &&
        Object.fromEntries(lifetimes.map((name) => [`net/netfilter/${name}`, `${lifetimeS}`]))),
    })
  }

  load(): void {
    const { isPreserving = true, hairpin = false, blocked = false } = this.#options
    const { lifetimeS = LIFETIME_S, lossPercent = 0 } = this.#options
    const rules = natRules({
      translation: this.#translation,
      external: this.#router.address,
      isPreserving,
      hasHairpin: hairpin,
      hosts: this.#hosts,
      isBlocked: blocked,
      lifetimeS,
      lossPercent,
      zone: ++this.#zone,
    })
    this.#router.run(['nft', '-f', '-'], rules)
  }

  forget(): void {
    this.#router.run(['nft', '-f', '-'], forgetRules(++this.#zone))
  }
}

function names(site: string, count: number): string[] {
  return count === 1 ? [site] : [...Array(count).keys()].map((i) => `${site}-${i + 1}`)
}
