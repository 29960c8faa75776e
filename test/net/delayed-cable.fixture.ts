import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Internet, Net } from './lab-host.fixture.ts'
import { Host } from './namespaces.fixture.ts'
import { Process } from './process.fixture.ts'
import { programCommand } from './program.fixture.ts'

/** Link-local (RFC 3927): cable n has INSIDE.n, with the relay at .1 and the other end at .2. */
const INSIDE = '169.254'
const DELAY_BITS = 12
const CABLES = 255

/**
 * Cables on which packets take their time. The kernels of most machines that run tests have no netem, so
 * the cable is a VXLAN whose packets a programme passes on late.
 */
export class DelayedCables {
  readonly #t: TestContext
  readonly #internet: Internet
  #relay: Host | undefined
  #process: Process | undefined
  #cables = 0

  constructor(t: TestContext, internet: Internet) {
    this.#t = t
    this.#internet = internet
  }

  /** Once the programme runs: what is sent before is lost. */
  async ready(): Promise<void> {
    await this.#process?.tells('up')
  }

  /** The internet, over a cable that takes so long each way. */
  by(delayMs: number): Net {
    assert.ok(delayMs < 1 << DELAY_BITS, `no cable delays by ${delayMs} ms`)
    return {
      attach: (host, device) => {
        this.#relay ??= this.#started()
        const cable = ++this.#cables
        assert.ok(cable < CABLES, `there are no more than ${CABLES} delayed cables`)
        const identifier = (cable << DELAY_BITS) | delayMs
        const port = this.#internet.newPort()
        underlay(host, 'under', this.#relay, cable)
        tunnel(host, device, 'under', cable, identifier)
        tunnel(this.#internet, port, 'under', 0, identifier)
        return this.#internet.plugged(host, device, port)
      },
    }
  }

  #started(): Host {
    const relay = new Host(this.#t, 'delay')
    underlay(this.#internet, 'under', relay, 0)
    const program = new URL('delay-relay.fixture.ts', import.meta.url)
    const command = [...relay.prefix, ...programCommand(program, INSIDE, `${DELAY_BITS}`)]
    this.#process = new Process(this.#t, 'delay', command)
    return relay
  }
}

/** Room for the 50 bytes around each packet, so that the tunnel takes 1,500 like any cable. */
function underlay(host: Host, device: string, relay: Host, cable: number): void {
  const [far, near] = [`cable${cable}`, `${INSIDE}.${cable}`]
  host.cable(device, `${near}.2/24`, relay, far, `${near}.1/24`)
  host.batch([`link set ${device} mtu 1600`])
  relay.batch([`link set ${far} mtu 1600`])
}

function tunnel(host: Host, name: string, device: string, cable: number, identifier: number): void {
  const net = `${INSIDE}.${cable}`
  host.batch([
    `link add ${name} mtu 1500 type vxlan id ${identifier} local ${net}.2 remote ${net}.1 dstport 4789 dev ${device}`,
    `link set ${name} up`,
  ])
}
