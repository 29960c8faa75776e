import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

/** What would make a run depend on more than its seed, or on one runtime. */
const FORBIDDEN: readonly (readonly [string, RegExp])[] = [
  ['an import that is not relative', /from '(?!\.{1,2}\/)/],
  ['a clock', /\bDate\b|\bperformance\b/],
  ['a timer', /\bsetTimeout\b|\bsetImmediate\b|\bsetInterval\b|\bqueueMicrotask\b/],
  ['a promise', /\bPromise\b|\basync\b|\bawait\b/],
  ['chance without a seed', /Math\.random|getRandomValues/],
  ['a host object', /\bprocess\b|\bBuffer\b|\bglobalThis\b|\bconsole\b/],
  // ECMAScript leaves their last digits to the engine.
  ['an inexact function', /Math\.(exp|log|pow|sin|cos|tan|cbrt|hypot)/],
]

test('nothing in the simulator depends on a runtime, a clock or chance', () => {
  const folder = new URL('.', import.meta.url)
  const files = readdirSync(folder).filter((name) => /(?<!\.test|\.fixture)\.ts$/.test(name))
  assert.ok(files.length > 15)
  for (const name of files) {
    const source = withoutComments(readFileSync(new URL(name, folder), 'utf8'))
    for (const [what, pattern] of FORBIDDEN) {
      assert.doesNotMatch(source, pattern, `${name} has ${what}`)
    }
  }
})

test('the patterns find what they look for', () => {
  const samples = [
    "import fs from 'node:fs'",
    'Date.now()',
    'setTimeout(f)',
    'await x',
    'Math.random()',
    'process.env',
    'Math.log(2)',
  ]
  for (const [i, sample] of samples.entries()) assert.match(sample, FORBIDDEN[i]?.[1] ?? /^$/)
})

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
}
