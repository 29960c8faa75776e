import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { listFiles, publishedEntries, readFiles } from './checkout.ts'
import { codeOf } from './source-text.ts'
import { untidyIn, untidyTree } from './tidy.ts'

const TEXT = /\.(ts|mjs|js|json|md|yml|html|sh)$|^\.ci\/|^LICENSE$/

test('the checkout is tidy', () => {
  const files = readFiles(listFiles().filter((path) => TEXT.test(path)))
  assert.ok(files.length > 50)
  const untidy = [...files.flatMap(untidyIn), ...untidyTree(files, publishedEntries())]
  assert.deepEqual(untidy, [])
})

const untidy = (text: string, path = 'src/core/wire/reader.ts') =>
  untidyIn({ path, text }).map((found) => found.replace(/^[^:]+:/, ''))

describe('in the core, what differs between runs is found', () => {
  const impure = [
    'const at = Date.now()',
    'const at = new Date()',
    'return Math.random()',
    'return Math\u0020. random()',
    'const later: Promise<void> = a',
    'const f = async () => {}',
    'await f()',
    'ids.sort()',
    'ids.toSorted( )',
    'ids.sort(() => Math.random() - 0.5)',
    'ids.sort(() => random.next() - 0.5)',
    'a.localeCompare(b)',
    'n.toLocaleString()',
    'new Intl.Collator()',
    'new WeakRef(a)',
    'console.log(1)',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a template is what is tested
    'const s = `${Date.now()}`',
    'globalThis.setTimeout(f)',
    "import { readFileSync } from 'node:fs'",
    "import {\n  a,\n} from 'node:fs'",
    "import sodium from 'sodium-native'",
    "export * from '../../crypto/random.ts'",
  ]
  for (const line of impure) {
    test(line, () => {
      assert.ok(untidy(`f()\n${line}\n`).length > 0)
      assert.deepEqual(untidy(`${line}\n`, 'src/core/wire/reader.test.ts'), [])
    })
  }
})

describe('in the core, what only looks like it is left alone', () => {
  const pure = [
    '// Date.now() would be wrong here',
    '/** Never a Promise, async or await. */',
    "const text = 'Date and Math.random'",
    'const text = `no Date`',
    'ids.sort((a, b) => a - b)',
    'const date = updateDate',
    'timers.await(handle)',
    "export type Kind = 'import' | 'export'",
    'const found = /Date/.test(text)',
    'const half = a / 2 // Date',
    "import { at } from '../collections/bounded-map.ts'",
  ]
  for (const line of pure) test(line, () => assert.deepEqual(untidy(`${line}\n`), []))
})

describe('anywhere, what the house does not want is found', () => {
  const nested = (count: number) => `{\n${'  f()\n'.repeat(count)}}\n`
  const wrong: readonly [what: string, text: string, path?: string][] = [
    ['a file of 501 lines', 'f()\n'.repeat(501)],
    ['a function of 71 lines', `function f(a: number): void ${nested(69)}`],
    ['a method of 71 lines', `class A {\n  f() ${nested(69)}}\n`],
    ['an arrow function of 71 lines', `const f = () => ${nested(69)}`],
    ['a default export', 'export default 1\n'],
    ['a module that keeps state', 'let count = 0\n'],
    ['an exported variable', 'export let count = 0\n'],
    ['a vague file name', 'f()\n', 'src/core/wire/utils.ts'],
    ['a vague class name', 'export class SessionManager {}\n'],
    ['a vague function name', 'function wireHelper() {}\n'],
    ['work left undone', `// ${'TO'}DO: later\n`],
    ['work left undone in prose', `${'FIX'}ME\n`, 'README.md'],
    ['a path of some machine', `cd /${'home'}/alice/latica\n`, 'README.md'],
    ['a registry', `https://${'registry'}.example.com/\n`, 'README.md'],
    ['a download address', `"resolved": "${'http'}s://example.com/a.tgz"\n`, 'package-lock.json'],
  ]
  for (const [what, text, path] of wrong) {
    test(what, () => assert.equal(untidy(text, path).length, 1))
  }

  test('and what is within the limits is not', () => {
    assert.deepEqual(untidy('f()\n'.repeat(500)), [])
    assert.deepEqual(untidy(`function f(a: number): void ${nested(68)}`), [])
    assert.deepEqual(untidy(`class A ${nested(100)}`), [])
    assert.deepEqual(untidy('function f() {\n  let count = 0\n}\n'), [])
  })
})

test('a module that nothing leads to is found', () => {
  const file = (path: string, text: string) => ({ path, text })
  const tree = [
    file('src/index.ts', "export { a } from './api/a.ts'\n"),
    file('src/api/a.ts', "import type { B } from './b.ts'\n"),
    file('src/api/b.ts', ''),
    file('src/api/tested.test.ts', "new URL('./tested.fixture.ts', import.meta.url)\n"),
    file('src/api/tested.fixture.ts', "import './only-tested.ts'\n"),
    file('src/api/only-tested.ts', ''),
    file('src/api/index.ts', '/** Says. */\n'),
    file('bench/run.ts', "import '../src/api/index.ts'\n"),
  ]
  assert.deepEqual(untidyTree(tree, ['src/index.ts']), [])
  const index = file('src/api/index.ts', "/** Says. */\nexport * from './dead.ts'\n")
  const unread = [...tree.slice(0, 6), index, file('src/api/dead.ts', '')]
  assert.equal(untidyTree(unread, ['src/index.ts']).length, 1)
  const dead = untidyTree([...tree, file('src/api/dead.ts', '')], ['src/index.ts'])
  assert.deepEqual(dead, ['src/api/dead.ts:1: no entry and no test leads here'])
})

test('a folder that does not say what it decides is found', () => {
  const module = { path: 'src/api/a.test.ts', text: '' }
  assert.deepEqual(untidyTree([module], []), ['src/api/: no index.ts says what it decides'])
  const index = { path: 'src/api/index.ts', text: 'export {}\n' }
  assert.deepEqual(untidyTree([module, index], ['src/api/index.ts']), [
    'src/api/index.ts:1: no header says what it decides',
  ])
})

test('blanking keeps code, offsets and lines, and drops the rest', () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a template is what is tested
  const text = "a('x') // y\nb(`p${c({ d: `q${e}` })}r`, /[/\"]\\//g, f / g)\n/* h\n */ i"
  assert.equal(codeOf(text).replace(/ +/g, ' '), 'a( ) \nb( c({ d: e }) , g, f / g)\n \n i')
  assert.equal(codeOf(text).length, text.length)
})
