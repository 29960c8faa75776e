import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ROOT } from './checkout.ts'
import { untidyIn } from './tidy.ts'

/**
 * The gate that keeps the core pure, proved on a copy of the core: what is planted there must turn
 * the compiler or the tidy rules red, and the copy without it must be green.
 */
const VICTIM = 'src/core/errors.ts'

describe('the purity gate', () => {
  let copy = ''
  before(() => {
    copy = mkdtempSync(join(tmpdir(), 'latica-purity-'))
    for (const name of ['package.json', 'tsconfig.base.json']) {
      cpSync(join(ROOT, name), join(copy, name))
    }
    cpSync(join(ROOT, 'src/core'), join(copy, 'src/core'), { recursive: true })
  })
  after(() => rmSync(copy, { recursive: true }))

  const plant = (code: string) => {
    cpSync(join(ROOT, VICTIM), join(copy, VICTIM))
    appendFileSync(join(copy, VICTIM), `\n${code}\n`)
  }
  const compile = () => {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const words = [tsc, '-p', join(copy, 'src/core'), '--noEmit', '--pretty', 'false']
    return spawnSync(process.execPath, words, { encoding: 'utf8' }).stdout
  }
  const tidy = () =>
    untidyIn({ path: VICTIM, text: readFileSync(join(copy, VICTIM), 'utf8') }).join('\n')

  test('is green on the core as it is', () => {
    plant('')
    assert.equal(compile(), '')
    assert.equal(tidy(), '')
  })

  const byCompiler: readonly [code: string, says: RegExp][] = [
    ['export const timer = setTimeout(() => {}, 1)', /Cannot find name 'setTimeout'/],
    ["import fs from 'node:fs'\nexport const read = fs.readFileSync", /'node:fs'/],
    ['export const text = new TextEncoder()', /Cannot find name 'TextEncoder'/],
    ['export const bytes = Buffer.alloc(1)', /Cannot find name 'Buffer'/],
    ['export const key = crypto.getRandomValues(new Uint8Array(1))', /Cannot find name 'crypto'/],
    ['export const at = performance.now()', /Cannot find name 'performance'/],
    ['export const env = process.env', /Cannot find name 'process'/],
  ]
  for (const [code, says] of byCompiler) {
    test(`turns the compiler red on ${code}`, () => {
      plant(code)
      assert.match(compile(), says)
    })
  }

  const byTidy: readonly [code: string, says: RegExp][] = [
    ['export const at = Date.now()', /Date: the time is an argument/],
    ['export const chance = Math.random()', /Math\.random/],
    ['export const later = Promise.resolve()', /Promise: the core is synchronous/],
    ['export const order = (ids: string[]) => ids.sort()', /sort without a comparator/],
  ]
  for (const [code, says] of byTidy) {
    test(`turns the tidy rules red on ${code}`, () => {
      plant(code)
      assert.equal(compile(), '', 'if the compiler sees it, the rule is not needed')
      assert.match(tidy(), says)
    })
  }
})
