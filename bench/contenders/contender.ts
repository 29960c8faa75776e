/**
 * What is measured between two processes: one serves, one connects and is told what to do. A
 * contender decides how bytes travel; when and how often is the run's.
 */
export interface Contender {
  /** Serves until the process ends; resolves to what `connect` needs to find it. */
  serve(): Promise<string>
  connect(address: string): Promise<Client>
}

export interface Client {
  /** One request of `sizeBytes`, answered with the same bytes. */
  ask?(sizeBytes: number): Promise<void>
  /** `TRANSFER_BYTES` and then the other side's word that it has them all. */
  transfer?(): Promise<void>
}

/** What one round of a stream moves: some 0.3 s at 100 MB/s, past any slow start. */
export const TRANSFER_BYTES = 32 * 1024 * 1024
export const CHUNK_BYTES = 64 * 1024
