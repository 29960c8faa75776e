import { MALFORMED } from '../../core/errors.ts'
import { ask } from './ask.ts'
import { type Lease, LIFETIME_S, type Offer, type Wanted } from './lease.ts'
import {
  decodeHostAnswer,
  decodePortAnswer,
  encodeHostRequest,
  encodePortRequest,
} from './nat-pmp-codec.ts'

/** NAT-PMP (RFC 6886). The question for the router's address is the probe. */
export async function probeNatPmp(wanted: Wanted, signal: AbortSignal): Promise<Offer | undefined> {
  const host = await externalHost(wanted, signal)
  return host === undefined ? undefined : () => lease(wanted, wanted.port)
}

/** The address is asked for each time: the router may have got another one. */
async function lease(wanted: Wanted, suggestedPort: number): Promise<Lease | undefined> {
  const [answer, host] = await Promise.all([
    map(wanted, suggestedPort, LIFETIME_S),
    externalHost(wanted),
  ])
  if (answer?.result !== 0 || host === undefined) return undefined
  const external = { host, port: answer.externalPort }
  return {
    mapping: { protocol: 'nat-pmp', external },
    lifetimeMs: answer.lifetimeS * 1_000,
    renew: () => lease(wanted, answer.externalPort),
    release: async () => void (await map(wanted, 0, 0)),
  }
}

async function externalHost({ uplink }: Wanted, signal?: AbortSignal): Promise<string | undefined> {
  if (uplink.gateway === undefined) return undefined
  const read = (data: Uint8Array) => defined(decodeHostAnswer(data))
  const request = encodeHostRequest()
  const answer = await ask({ from: uplink.host, server: uplink.gateway, request, read }, signal)
  return answer?.result === 0 ? answer.host : undefined
}

async function map({ uplink, port }: Wanted, suggestedPort: number, lifetimeS: number) {
  if (uplink.gateway === undefined) return undefined
  const request = encodePortRequest(port, suggestedPort, lifetimeS)
  const read = (data: Uint8Array) => {
    const answer = defined(decodePortAnswer(data))
    return answer?.insidePort === port ? answer : undefined
  }
  return ask({ from: uplink.host, server: uplink.gateway, request, read })
}

function defined<T>(value: T | typeof MALFORMED): T | undefined {
  return value === MALFORMED ? undefined : value
}
