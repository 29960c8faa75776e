import type { ParseArgsConfig } from 'node:util'
import type { Printer } from './printer.ts'

/** Where a command reads and writes, and how it learns that it should end. */
export interface Terminal {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly input: NodeJS.ReadableStream
  /** A person types there: no waiting, no end at the end of a file. */
  readonly isInteractive: boolean
  /** The width of the terminal that output goes to; undefined when it goes anywhere else. */
  readonly columns?: number | undefined
  /** Aborts on Ctrl-C. */
  readonly interrupted: AbortSignal
}

export type OptionValues = Readonly<
  Record<string, string | boolean | readonly (string | boolean)[] | undefined>
>

export interface Invocation {
  readonly values: OptionValues
  readonly positionals: readonly string[]
  readonly print: Printer
  readonly terminal: Terminal
}

/** One word after `latica`. */
export interface Command {
  readonly name: string
  /** A line for the list of commands. */
  readonly summary: string
  /** Teaches: what it is for, then examples, then options. */
  readonly help: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  /** Exit code of wrong usage where 2 means something else. */
  readonly usageCode?: number
  /** Resolves with the exit code. */
  run(invocation: Invocation): Promise<number>
}

/** The command line is wrong: what is, and what to type instead. */
export class UsageFault extends Error {}
