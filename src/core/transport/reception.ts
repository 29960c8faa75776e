import type { Frame } from '../wire/frames.ts'

/**
 * What an authentic datagram says about its sender. `violation`: it does not keep the protocol.
 * `aside`: it says nothing of where data should go, because it tries a path (RFC 9000 §9.1), tells where
 * one leads, opens a way, or only acknowledges, which is done where it was asked for. `data`: something for the
 * application. `control`: all else.
 */
export type Reception = 'violation' | 'aside' | 'control' | 'data'

export function receptionOf(frames: readonly Frame[]): Reception {
  let isAside = true
  let isProbe = false
  for (const { type } of frames) {
    if (type === 'message' || type === 'stream' || type === 'datagram') return 'data'
    if (type === 'challenge' || type === 'response') isProbe = true
    else if (type !== 'ack' && type !== 'observed') isAside = false
  }
  return isAside || isProbe ? 'aside' : 'control'
}
