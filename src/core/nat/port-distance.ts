const FIRST_PORT = 1_024
const PORTS = 65_536 - FIRST_PORT

/** How far a port counter went from one port to another, the shorter way: counters go round. */
export function portDistance(from: number, to: number): number {
  const half = PORTS / 2
  return ((((to - from + half) % PORTS) + PORTS) % PORTS) - half
}
