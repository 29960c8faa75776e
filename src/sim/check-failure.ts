/** A run that went wrong: the seed and the time bring anyone to the same place again. */
export class CheckFailure extends Error {
  readonly seed: number | string
  readonly atMs: number
  /** The host or peer it happened at; undefined when it concerns all. */
  readonly where: string | undefined

  constructor(
    run: { readonly seed: number | string; readonly nowMs: number },
    where: string | undefined,
    what: string,
    cause?: unknown,
  ) {
    const place = where === undefined ? '' : `, ${where}`
    super(`seed ${run.seed}, ${run.nowMs.toFixed(3)} ms${place}: ${what}`, { cause })
    this.name = 'CheckFailure'
    this.seed = run.seed
    this.atMs = run.nowMs
    this.where = where
  }
}
