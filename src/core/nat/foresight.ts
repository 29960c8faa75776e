import { AIM_PORTS_MAX } from './messages.ts'

/**
 * From a measurement of our NAT's port counter, where our next mappings will be although others use
 * the NAT too. Pure arithmetic over a forecast; measuring is the survey's business.
 */
export interface Forecast {
  readonly host: string
  readonly nextPort: number
  readonly step: number
  /** Mappings per second that others make. */
  readonly perS: number
}

/** Ports below are services' (RFC 6335 §6): no NAT that we know of gives them, so none is sprayed. */
export const SPRAY_PORT_MIN = 1_024
export const SPRAY_PORT_MAX = 65_535
const SPRAY_PORTS = SPRAY_PORT_MAX - SPRAY_PORT_MIN + 1
/** A measurement may come late, or our own other sockets may have taken a port meanwhile. */
const BEFORE = 4
/** transport.md §5.5: noise is Poisson, three deviations are allowed for, and some for ourselves. */
const SLACK = 8
const DEVIATIONS = 3

/** The port `steps` mappings after `port`: counters go round. */
export function portAfter(port: number, step: number, steps: number): number {
  const offset = (port - SPRAY_PORT_MIN + step * steps) % SPRAY_PORTS
  return SPRAY_PORT_MIN + ((offset + SPRAY_PORTS) % SPRAY_PORTS)
}

/** The ports that mappings made `waitMs` after the measurement may have. */
export function windowOf(forecast: Forecast, waitMs: number): { port: number; count: number } {
  const { nextPort, step, perS } = forecast
  const count = Math.min(AIM_PORTS_MAX, BEFORE + lead(perS, waitMs) + SLACK)
  return { port: portAfter(nextPort, step, -BEFORE), count }
}

/** One port ahead, and how many mappings in a row make it likely that one of them gets it. */
export function targetOf(forecast: Forecast, waitMs: number): { port: number; mappings: number } {
  const { nextPort, step, perS } = forecast
  const ahead = Math.min(AIM_PORTS_MAX - SLACK, lead(perS, waitMs))
  return { port: portAfter(nextPort, step, ahead), mappings: ahead + SLACK }
}

function lead(perS: number, waitMs: number): number {
  const others = (perS * waitMs) / 1_000
  return Math.ceil(others + DEVIATIONS * Math.sqrt(others)) + SLACK
}
