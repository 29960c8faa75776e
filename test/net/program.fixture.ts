import { readFileSync } from 'node:fs'
import { transformSync } from 'esbuild'

/** The command that runs a programme beside this file that imports nothing but Node: no file is made. */
export function programCommand(source: URL, ...words: readonly string[]): string[] {
  const text = readFileSync(source, 'utf8')
  const { code } = transformSync(text, { loader: 'ts', format: 'esm', target: 'node20' })
  return [process.execPath, '--input-type=module', '--eval', code, ...words]
}
