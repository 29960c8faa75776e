import type { Endpoint, PeerId } from '../io.ts'

/**
 * How a datagram reaches a remote: straight to a socket, or inside RELAY frames of the session with a
 * third peer, which knows the remote by the first 8 bytes of its id.
 */
export type Route =
  | { readonly kind: 'udp'; readonly endpoint: Endpoint }
  | {
      readonly kind: 'relay'
      readonly via: PeerId
      readonly prefix: string
      /** A second relay stands between `via` and one of the two ends. */
      readonly isChained?: boolean
    }

/** Hex digits of a peer's id that a relay needs: 8 bytes, out of reach of a second preimage. */
export const PREFIX_DIGITS = 16

export function prefixOf(peer: PeerId): string {
  return peer.slice(0, PREFIX_DIGITS)
}

export function routeKey(route: Route): string {
  if (route.kind === 'udp') return endpointKey(route.endpoint)
  return `${route.via}${route.isChained === true ? '>>' : '>'}${route.prefix}`
}

/** Whether both have the same key, without making text of it for every datagram. */
export function isSameRoute(a: Route, b: Route): boolean {
  if (a.kind === 'relay') {
    if (b.kind === 'udp' || a.via !== b.via || a.prefix !== b.prefix) return false
    return (a.isChained === true) === (b.isChained === true)
  }
  if (b.kind === 'relay') return false
  const { socket, host, port } = a.endpoint
  return socket === b.endpoint.socket && port === b.endpoint.port && host === b.endpoint.host
}

export function endpointKey(endpoint: Endpoint): string {
  return `${endpoint.socket}|${endpoint.host}|${endpoint.port}`
}
