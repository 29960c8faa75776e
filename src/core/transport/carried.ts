/**
 * One thing that a datagram carried, told what became of it. `lost` may come more than once and before
 * `acked`: a probe repeats what may only be late.
 */
export interface Carried {
  acked(): void
  lost(): void
}
