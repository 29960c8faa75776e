import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SourceFile } from './tidy.ts'

/** The files of the checkout. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url))

const NOT_OURS = new Set(['node_modules', 'dist', '.git', '.cache'])

/** Paths of all files, relative and with forward slashes, in order. */
export function listFiles(folder = ''): string[] {
  const names = readdirSync(join(ROOT, folder), { withFileTypes: true })
  const paths = names.flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (NOT_OURS.has(entry.name)) return []
    return entry.isDirectory() ? listFiles(path) : [path]
  })
  return paths.sort((a, b) => (a < b ? -1 : 1))
}

export function readFiles(paths: readonly string[]): SourceFile[] {
  return paths.map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

/** The modules behind package.json's `exports` and `bin`. */
export function publishedEntries(): string[] {
  const text = readFileSync(join(ROOT, 'package.json'), 'utf8')
  const built = [...text.matchAll(/"\.\/dist\/([^"]+)\.js"/g)].map((match) => match[1] ?? '')
  return [...new Set(built)].map((path) => `src/${path}.ts`)
}

/** Where a command is on the PATH, if it is. */
export function commandPath(names: readonly string[]): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    for (const name of names) {
      if (folder !== '' && existsSync(join(folder, name))) return join(folder, name)
    }
  }
  return undefined
}

/** Runs a command with its output shown; false when it fails. */
export function runShown(command: string, words: readonly string[]): boolean {
  try {
    execFileSync(command, words, { cwd: ROOT, stdio: 'inherit' })
    return true
  } catch {
    return false
  }
}
