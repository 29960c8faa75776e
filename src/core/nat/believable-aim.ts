import type { LocalAddress } from '../io.ts'
import type { Aim } from './attempt.ts'
import { Candidates } from './candidates.ts'
import { SPRAY_PORT_MIN } from './foresight.ts'
import { AIM_PORTS_MAX } from './messages.ts'

/** Whether it names public ports, no services', of a host that the remote told as its own. */
export function isBelievableAim(aim: Aim, addresses: readonly LocalAddress[]): boolean {
  const { address, count, step, lastPort } = aim
  if (count > AIM_PORTS_MAX || (count > 1 && step === 0)) return false
  if (address.port < SPRAY_PORT_MIN || lastPort < address.port) return false
  if (!Candidates.isPublicIpv4(address)) return false
  return addresses.some(({ host }) => host === address.host)
}
