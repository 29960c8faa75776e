/**
 * The transport's constants. Both sides must agree on the initial windows: they are never negotiated
 * (docs/spec/transport.md, "Limits").
 */

/** Header (1 + 4 + up to 4) and tag (16) of a sealed datagram: what a path's size leaves us less. */
export const SEAL_BYTES = 25
/** Smallest datagram a path may have: room for an ACK and a useful piece of data. Guess. */
export const DATAGRAM_BYTES_MIN = 256

/** Payload of the largest message: 1 MiB, and 1 KiB for the headers of the layer above. */
export const MESSAGE_BYTES_MAX = 0x100000 + 0x400
/** Up to this size a message travels in one datagram and overtakes larger ones. */
export const SMALL_MESSAGE_BYTES = 1024
/** Credit that small messages may take past a large one that waits for credit. Guess, unmeasured. */
export const OVERTAKE_BYTES = 256 * 1024

/** Connection flow control: at least three of the largest messages. */
export const CONNECTION_WINDOW = 4 * 1024 * 1024
export const CONNECTION_WINDOW_MAX = 16 * 1024 * 1024
/** Stream flow control: at least the bandwidth-delay product of 20 Mbit/s at 100 ms. */
export const STREAM_WINDOW = 256 * 1024
export const STREAM_WINDOW_MAX = 4 * 1024 * 1024
/**
 * Connection credit that streams leave to messages: streams that nobody reads would else hold up
 * messages, whose credit comes back by itself.
 */
export const STREAM_RESERVE = MESSAGE_BYTES_MAX
/** Streams of the remote that may be open at once. */
export const STREAMS_MAX = 256
/** Unsent bytes of one stream beyond which it is not writable. Guess: 4 ms of 1 Gbit/s. */
export const STREAM_BACKLOG_BYTES = 512 * 1024

/** Pieces of streams and messages kept because an earlier piece is missing, all together. */
export const PIECES_MAX = 4096
/** Messages that have begun to arrive and are not whole. */
export const PARTIAL_MESSAGES_MAX = 1024
/** Holes in the numbers of completed messages. */
export const MESSAGE_GAPS_MAX = 4096
/** Unreliable datagrams waiting to be sent. */
export const DATAGRAM_QUEUE_MAX = 64
/** Frames of the session waiting on one path: a relayed peer's burst, with room. */
export const SESSION_FRAMES_MAX = 256
/** Room that any frame of the session but RELAY and RELAYED, or any window update, fits into. */
export const CONTROL_BYTES = 32
/** DESIGN §5. */
export const PATHS_MAX = 8
/** A fragment shorter than this costs more header than it is worth, unless it is the last. */
export const FRAGMENT_BYTES_MIN = 64

/** RFC 9000 §18.2 (max_ack_delay). */
export const ACK_DELAY_MS = 25
/** RFC 9000 §13.2.2: acknowledge at least every second ack-eliciting datagram. */
export const ACK_EVERY = 2
/**
 * A long run without a gap means a large window, of which an ACK for each pair would take a third of
 * the processor (docs/benchmarks.md). After each run of this length one datagram more shares an ACK, up
 * to the most. Guesses; RFC 9000 §13.2.2 leaves room for it.
 */
export const ACK_RUN_DATAGRAMS = 64
export const ACK_EVERY_MAX = 8
/** In such a run the last few of a flight are not kept waiting: their sender may wait for room. */
export const ACK_RUN_DELAY_MS = 1
/** Ranges and ACK-only datagrams after which one carries a PING (RFC 9000 §13.2.4). Guesses. */
export const ACK_PING_RANGES = 8
export const ACK_PING_DATAGRAMS = 32

/** RFC 9002 §6.1.1 and §6.1.2. */
export const PACKET_THRESHOLD = 3
export const TIME_THRESHOLD = 9 / 8
/** Timers of the runtimes we live in are no finer (RFC 9002 §6.1.2). */
export const GRANULARITY_MS = 1
/** RFC 9002 §6.2.2. */
export const INITIAL_RTT_MS = 333
/**
 * Guess, unmeasured: backoff stops here, so that a path that comes back is noticed within it. A path
 * whose first timeout is longer keeps that.
 */
export const PROBE_TIMEOUT_MAX_MS = 2000
/** RFC 9002 §6.2.4: two, so that one lost probe does not cost another timeout. */
export const PROBES = 2
/** RFC 9002 §7.6.1. */
export const PERSISTENT_CONGESTION_TIMEOUTS = 3

/** RFC 9002 §7.2, in datagrams. */
export const INITIAL_WINDOW_DATAGRAMS = 10
export const MINIMUM_WINDOW_DATAGRAMS = 2
/** Bounds what a remote that acknowledges everything can make us have in flight. */
export const CONGESTION_WINDOW_MAX = 32 * 1024 * 1024
/** Datagrams remembered for each path: bounds what many small ones in a large window would cost. */
export const DATAGRAMS_IN_FLIGHT_MAX = 32768
/**
 * Beyond this many, datagrams of pushed frames are not remembered: a remote that asks for responses
 * and acknowledges none would make us remember them all.
 */
export const PUSHED_IN_FLIGHT_MAX = 256
/** RFC 9002 §7.7. */
export const BURST_DATAGRAMS = 10
/** Timers come late by up to this: a burst may hold what the rate allows in it. Guess. */
export const BURST_MS = 2
