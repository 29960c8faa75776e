import type { SessionFrame } from '../wire/frames.ts'

/** What a transport tells the session. Payloads are views into what `receive` was given. */
export type TransportEvent =
  /** A whole message, once. */
  | { readonly type: 'message'; readonly payload: Uint8Array }
  /** The remote has every byte of the message. */
  | { readonly type: 'messageAcked'; readonly message: number }
  | { readonly type: 'datagram'; readonly payload: Uint8Array }
  /** The remote opened a stream. */
  | { readonly type: 'streamOpened'; readonly stream: number }
  /** The next bytes in order. */
  | { readonly type: 'streamData'; readonly stream: number; readonly data: Uint8Array }
  /** The remote finished; all of its data was given before. */
  | { readonly type: 'streamEnded'; readonly stream: number }
  /** The remote gave up sending; nothing more comes. */
  | { readonly type: 'streamReset'; readonly stream: number; readonly code: number }
  /** The remote no longer reads: our side was reset. */
  | { readonly type: 'streamStopped'; readonly stream: number; readonly code: number }
  /** The stream takes `bytes` more. First sent when it opens. */
  | { readonly type: 'streamWritable'; readonly stream: number; readonly bytes: number }
  | { readonly type: 'frame'; readonly path: number; readonly frame: SessionFrame }

/** What became of a frame from the remote. */
export type Verdict =
  | 'accepted'
  /** Within the remote's rights, but there is no room: its datagram is not acknowledged. */
  | 'refused'
  /** Nothing that keeps the protocol sends this. */
  | 'violation'
