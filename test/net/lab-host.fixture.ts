import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Host } from './namespaces.fixture.ts'
import { SLOTS } from './nat-rules.fixture.ts'

/** Hosts with one address, and the nets that give it to them: the internet, and LANs behind routers. */

/** What a host's interface can be attached to. */
export interface Net {
  attach(host: Host, device: string): Attachment
}

export interface Attachment {
  readonly address: string
  /** The host loses its address and gets another one. */
  change(): Attachment
}

/** A host with an address from a net; or a router, whose `wan` has it. */
export class LabHost extends Host {
  #attachment: Attachment

  constructor(t: TestContext, name: string, net: Net, device: string) {
    super(t, name)
    this.#attachment = net.attach(this, device)
  }

  get address(): string {
    return this.#attachment.address
  }

  /** As when it moves to another place of its net: sockets live on, the address does not. */
  changeAddress(): string {
    this.#attachment = this.#attachment.change()
    return this.address
  }
}

const GATEWAY = '198.18.0.1'

/** Every cable ends at one router, which knows where each address is and drops what is for others. */
export class Internet extends Host implements Net {
  #addresses = 0
  #ports = 0

  constructor(t: TestContext) {
    super(t, 'internet')
    this.setting('net/ipv4/ip_forward', '1')
    this.batch([`addr add ${GATEWAY}/32 dev lo`, 'route add blackhole default'])
  }

  attach(host: Host, device: string): Attachment {
    const port = this.newPort()
    const address = this.#freeAddress()
    const [there, here] = routes(address, device, port)
    host.wire([device, there], this, [port, here])
    return this.#attachment(host, device, port, address)
  }

  /** The name of an interface for another cable. */
  newPort(): string {
    return `port${this.#ports++}`
  }

  /** Gives an address to what has a cable to that port of ours. */
  plugged(host: Host, device: string, port: string): Attachment {
    const address = this.#freeAddress()
    const [there, here] = routes(address, device, port)
    host.batch(there)
    this.batch(here)
    return this.#attachment(host, device, port, address)
  }

  #attachment(host: Host, device: string, port: string, address: string): Attachment {
    const change = () => {
      // Its routes go with its last address.
      host.batch([`addr del ${address}/32 dev ${device}`])
      this.batch([`route del ${address}`])
      return this.plugged(host, device, port)
    }
    return { address, change }
  }

  /** Each is in a /24 of its own, so that nobody takes two of them for one network. */
  #freeAddress(): string {
    const n = ++this.#addresses
    assert.ok(n < 512, '198.18.0.0/15 has no more than 512 networks')
    return `198.${18 + Math.floor(n / 256)}.${n % 256}.2`
  }
}

/** What a host with an address of the internet and the internet say to each other's kernels. */
function routes(address: string, device: string, port: string): [string[], string[]] {
  const there = [
    `addr add ${address}/32 dev ${device}`,
    `route add ${GATEWAY} dev ${device}`,
    `route add default via ${GATEWAY} dev ${device}`,
  ]
  return [there, [`route add ${address} dev ${port}`]]
}

/** A switch in a router, whose side is called `lan` and has the first address. */
export class Lan implements Net {
  readonly #router: Host
  readonly #net: string
  #hosts = 0

  /** The net is three numbers of an address. */
  constructor(router: Host, net: string) {
    this.#router = router
    this.#net = net
    router.batch(['link add lan type bridge', `addr add ${net}.1/24 dev lan`, 'link set lan up'])
  }

  attach(host: Host, device: string): Attachment {
    const slot = this.#hosts++
    assert.ok(slot < SLOTS, `a LAN has room for ${SLOTS} hosts`)
    const number = SLOTS + slot
    const lines = this.#configuration(device, number)
    host.wire([device, lines], this.#router, [`lan${slot}`, [`link set lan${slot} master lan`]])
    return this.#attachment(host, device, number)
  }

  /** Its number modulo SLOTS stays the same: that is how the router knows the host. */
  #attachment(host: Host, device: string, number: number): Attachment {
    const address = `${this.#net}.${number}`
    const change = () => {
      const next = number + SLOTS
      host.batch([`addr del ${address}/24 dev ${device}`, ...this.#configuration(device, next)])
      return this.#attachment(host, device, next)
    }
    return { address, change }
  }

  #configuration(device: string, number: number): string[] {
    return [
      `addr add ${this.#net}.${number}/24 dev ${device}`,
      `route add default via ${this.#net}.1 dev ${device}`,
    ]
  }
}
