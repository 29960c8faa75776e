/**
 * What the machine refused: a busy port, a locked store. Says what happened, under a `code` to test
 * for, and in `help` what a person can do about it. Never made from a remote's bytes.
 */
export class HostError extends Error {
  readonly code: string
  readonly help: string
  constructor(code: string, message: string, help: string, cause?: unknown) {
    super(`${message}. ${help}`, cause === undefined ? undefined : { cause })
    this.name = 'HostError'
    this.code = code
    this.help = help
  }
}

/** The `code` that Node puts on the errors of the operating system. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
