import { dirname, normalize } from 'node:path'
import { blocksOf, codeOf, isFunctionHeader } from './source-text.ts'

/**
 * The rules of the house that neither the compiler nor the linter can state. Decides what is untidy
 * in given texts; reads no files, so that each rule can be shown to fail.
 */

export interface SourceFile {
  /** Relative to the checkout, with forward slashes. */
  readonly path: string
  readonly text: string
}

const FILE_LINES_MAX = 500
const FUNCTION_LINES_MAX = 70

/** What ES2023 lets through although it differs from run to run, place to place or turn to turn. */
const IMPURE: readonly [pattern: RegExp, what: string][] = [
  [/\bDate\b/, 'Date: the time is an argument'],
  [/\bMath\s*\.\s*random\b/, 'Math.random: randomness is an argument'],
  [/\bPromise\b/, 'Promise: the core is synchronous'],
  [/\basync\b/, 'async: the core is synchronous'],
  [/(?<![.\w])await\s+[\w([{]/, 'await: the core is synchronous'],
  [/\.(sort|toSorted)\s*\(\s*\)/, 'sort without a comparator'],
  [/\.(sort|toSorted)\s*\([^\n]*random/i, 'sort by chance'],
  [/\blocaleCompare\b|\btoLocale\w+/, 'locale: differs from place to place'],
  [/\bIntl\b/, 'Intl: differs from place to place'],
  [/\bWeakRef\b|\bFinalizationRegistry\b/, 'garbage collection is not an input'],
  [/\bconsole\b/, 'console: the core prints nothing'],
  [/\bglobalThis\b|\beval\b|\bnew Function\b/, 'a way around this gate'],
]

const VAGUE = 'utils?|helpers?|managers?|impl'

/** Untidy things of one file, as `path:line: what`. */
export function untidyIn(file: SourceFile): string[] {
  const found = untidyText(file)
  if (!file.path.endsWith('.ts')) return found
  const code = codeOf(file.text)
  found.push(...untidyCode(file, code))
  if (file.path.startsWith('src/core/') && !isTestFile(file.path)) {
    found.push(...impureIn(file, code))
  }
  return found
}

/** Untidy things of the modules under src as a whole. `entries` are their published paths. */
export function untidyTree(files: readonly SourceFile[], entries: readonly string[]): string[] {
  return [...unreachable(files, entries), ...nameless(files)]
}

export function isTestFile(path: string): boolean {
  return /\.(test|long|fixture)\.ts$/.test(path)
}

/** Spelled apart, so that this file does not hold what it forbids. */
const MARKS = new RegExp(
  `\\b(${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK'].join('|')})\\b`,
)
const PLACES = new RegExp(
  [
    '(?<![\\w.~])/(root|work|Users)/',
    '(?<![\\w.~])/home/[a-z]',
    'registry\\.[a-z]+\\.(org|com)',
    '"resolved":\\s*"http',
  ].join('|'),
)

function untidyText({ path, text }: SourceFile): string[] {
  return [
    ...matches(path, text, MARKS, 'work left undone'),
    ...matches(path, text, PLACES, 'a path or host of some machine'),
  ]
}

function untidyCode({ path, text }: SourceFile, code: string): string[] {
  const found: string[] = []
  const lines = text.split('\n').length - 1
  if (lines > FILE_LINES_MAX) found.push(`${path}:1: ${lines} lines, at most ${FILE_LINES_MAX}`)
  if (!isTestFile(path)) {
    for (const block of blocksOf(code)) {
      if (block.lines <= FUNCTION_LINES_MAX || !isFunctionHeader(block.header)) continue
      found.push(
        `${path}:${block.line}: function of ${block.lines} lines, at most ${FUNCTION_LINES_MAX}`,
      )
    }
  }
  found.push(...matches(path, code, /\bexport default\b/, 'a default export'))
  if (path.startsWith('src/') && !isTestFile(path)) {
    found.push(...matches(path, code, /^(export )?(let|var)\b/, 'mutable state of a module'))
  }
  if (new RegExp(`(^|[/.-])(${VAGUE})([/.-]|$)`).test(path)) found.push(`${path}:1: a vague name`)
  const declared = new RegExp(`\\b(class|interface|type|function|const) \\w*(${VAGUE})\\b`, 'i')
  found.push(...matches(path, code, declared, 'a vague name'))
  return found
}

function impureIn({ path, text }: SourceFile, code: string): string[] {
  const found = IMPURE.flatMap(([pattern, what]) => matches(path, code, pattern, what))
  for (const specifier of importsOf(text)) {
    const target = normalize(`${dirname(path)}/${specifier}`)
    if (specifier.startsWith('.') && target.startsWith('src/core/')) continue
    found.push(`${path}:1: imports ${specifier} from outside the core`)
  }
  return found
}

function matches(path: string, text: string, pattern: RegExp, what: string): string[] {
  return text
    .split('\n')
    .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${what}`] : []))
}

function importsOf(text: string): string[] {
  const found = text.matchAll(
    /^(?:import|export)\s+(?:[\w*{][^'";=()]*?\sfrom\s+)?['"]([^'"\n]+)['"]/gm,
  )
  return [...found].map((match) => match[1] ?? '')
}

/** Modules that neither an entry nor a test leads to. Any relative path in quotes leads there. */
function unreachable(files: readonly SourceFile[], entries: readonly string[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const reached = new Set<string>()
  const queue = [...entries, ...files.map((file) => file.path).filter(isRoot)]
  for (const path of queue) {
    const file = byPath.get(path)
    if (file === undefined || reached.has(path)) continue
    reached.add(path)
    for (const [, specifier = ''] of file.text.matchAll(/['"](\.{1,2}\/[^'"\n]+\.ts)['"]/g)) {
      queue.push(normalize(`${dirname(path)}/${specifier}`))
    }
  }
  return (
    files
      .filter(({ path }) => path.startsWith('src/') && path.endsWith('.ts') && !reached.has(path))
      // A folder's index is there to be read, whoever imports it. It makes nothing else alive.
      .filter(({ path }) => !/^src\/[^/]+\/index\.ts$/.test(path))
      .map(({ path }) => `${path}:1: no entry and no test leads here`)
  )
}

function isRoot(path: string): boolean {
  return !path.startsWith('src/') || /\.(test|long)\.ts$/.test(path)
}

/** Folders directly under src that do not say, in the header of an index.ts, what they decide. */
function nameless(files: readonly SourceFile[]): string[] {
  const folders = new Set<string>()
  for (const { path } of files) {
    const folder = /^src\/[^/]+\//.exec(path)?.[0]
    if (folder !== undefined) folders.add(folder)
  }
  return [...folders].flatMap((folder) => {
    const index = files.find((file) => file.path === `${folder}index.ts`)
    if (index === undefined) return [`${folder}: no index.ts says what it decides`]
    return index.text.startsWith('/**') ? [] : [`${index.path}:1: no header says what it decides`]
  })
}
