/** One fact for the user: `type` and fields for programmes, a line for people. */
export type Printer = (
  type: string,
  fields: Readonly<Record<string, unknown>>,
  line?: string | undefined,
) => void

/** Prints lines, or with `--json` one object a line. A fact without a line is for programmes alone. */
export function printerTo(write: (text: string) => void, isJson: boolean): Printer {
  return (type, fields, line) => {
    if (isJson) write(`${JSON.stringify({ type, ...fields })}\n`)
    else if (line !== undefined) write(`${line}\n`)
  }
}

/** C0, DEL, C1, line and paragraph separators, and the marks that turn the writing direction. */
const CONTROLS = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** Text of a remote as it may go to a terminal, where controls move the cursor or type for the user. */
export function harmless(text: string): string {
  return text.replace(CONTROLS, '\ufffd')
}

/** The beginning of a peerId: enough to tell a few apart. */
export function short(peerId: string): string {
  return peerId.slice(0, 8)
}
