import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Above what any of them takes on a busy machine. */
const PATIENCE_MS = 30_000

/** Runs a script of this folder in a process of its own; what it prints is its result. */
export async function resultOf<T>(script: string, dist: string, ...flags: string[]): Promise<T> {
  const path = fileURLToPath(new URL(script, import.meta.url))
  const words = [...flags, '--import', 'tsx', path, dist]
  const { stdout } = await promisify(execFile)(process.execPath, words, { timeout: PATIENCE_MS })
  return JSON.parse(stdout)
}
