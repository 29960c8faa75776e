import type { Invocation } from './command.ts'
import { harmless } from './printer.ts'

/**
 * Tells how far something is: one line that is rewritten on a terminal, a line for every tenth and now
 * and then anywhere else. It decides when and how to tell, not what.
 */

/** Often enough to look alive. */
const REDRAW_MS = 100
/** Guess: what a log can bear. */
const LOG_MS = 2_000
/** The rate is that of the last seconds. Guess. */
const RATE_MS = 5_000
const BAR_CHARACTERS = 24
const COLUMNS_MIN = 40

export interface Amount {
  readonly name: string
  readonly doneBytes: number
  readonly totalBytes: number
}

export class ProgressLine {
  readonly #invocation: Invocation
  readonly #now: () => number
  readonly #samples: { at: number; doneBytes: number }[] = []
  #toldAt = Number.NEGATIVE_INFINITY
  /** By name: the tenths that a log has heard of. */
  readonly #tenths = new Map<string, number>()
  #isShown = false

  constructor(invocation: Invocation, now: () => number = () => performance.now()) {
    this.#invocation = invocation
    this.#now = now
  }

  tell(amount: Amount): void {
    const now = this.#now()
    const { columns, out } = this.#invocation.terminal
    const isTerminal = columns !== undefined && this.#invocation.values['json'] !== true
    this.#sample(now, amount.doneBytes)
    const { name, doneBytes, totalBytes } = amount
    const tenth = Math.floor((10 * doneBytes) / totalBytes)
    const isTenth = !isTerminal && tenth > (this.#tenths.get(name) ?? 0)
    if (!isTenth && now - this.#toldAt < (isTerminal ? REDRAW_MS : LOG_MS)) return
    this.#toldAt = now
    if (isTenth) this.#tenths.set(name, tenth)
    const bytesPerS = Math.round(this.#rate())
    if (isTerminal) {
      out(`\r\u001b[K${barOf(amount, bytesPerS, columns)}`)
      this.#isShown = true
    } else
      this.#invocation.print(
        'progress',
        { name, doneBytes, totalBytes, bytesPerS },
        wordsOf(amount, bytesPerS),
      )
  }

  /** Makes room for other lines. */
  clear(): void {
    if (this.#isShown) this.#invocation.terminal.out('\r\u001b[K')
    this.#isShown = false
  }

  #sample(at: number, doneBytes: number): void {
    const last = this.#samples.at(-1)
    // Another file began.
    if (last !== undefined && doneBytes < last.doneBytes) this.#samples.length = 0
    if (last === undefined || at - last.at >= REDRAW_MS) this.#samples.push({ at, doneBytes })
    while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > RATE_MS)
      this.#samples.shift()
  }

  #rate(): number {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || last.at === first.at) return 0
    return ((last.doneBytes - first.doneBytes) / (last.at - first.at)) * 1_000
  }
}

function barOf(amount: Amount, bytesPerS: number, columns: number): string {
  const share = amount.totalBytes === 0 ? 1 : amount.doneBytes / amount.totalBytes
  const full = Math.round(share * BAR_CHARACTERS)
  const bar = `${'█'.repeat(full)}${'░'.repeat(BAR_CHARACTERS - full)}`
  const line = `${bar} ${wordsOf(amount, bytesPerS)}`
  // One column stays free: a full line would wrap.
  return [...line].slice(0, Math.max(columns, COLUMNS_MIN) - 1).join('')
}

function wordsOf({ name, doneBytes, totalBytes }: Amount, bytesPerS: number): string {
  const percent = totalBytes === 0 ? 100 : Math.floor((100 * doneBytes) / totalBytes)
  const left = bytesPerS > 0 ? `, ${spanText((totalBytes - doneBytes) / bytesPerS)} left` : ''
  const rate = bytesPerS > 0 ? `, ${sizeText(bytesPerS)}/s` : ''
  const sizes = `${sizeText(doneBytes)} of ${sizeText(totalBytes)}`
  return `${String(percent).padStart(3)} %  ${sizes}${rate}${left}  ${harmless(name)}`
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** `1.2 MB`: decimal, as disks are sold and files are shown. */
export function sizeText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1_000
    unit++
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

function spanText(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  if (seconds < 3_600) return `${Math.ceil(seconds / 60)} min`
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
}
