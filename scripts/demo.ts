import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ROOT } from './checkout.ts'
import { digest, PRIVATE_TEXT, picture, TEXTS } from './demo-words.ts'

/**
 * `npm run demo`: three real processes on real UDP sockets. Carol is a peer of another app and knows no
 * secret. Alice and Bob share one, know Carol's address and not each other's. They meet through her; Bob
 * goes away; Alice writes and leaves; Bob returns, and reads everything from Carol, who cannot read it.
 * Ends with 0 when all of that happened.
 */
const PATIENCE_MS = 20_000

interface Line {
  readonly type: string
  readonly [field: string]: unknown
}

class Process {
  readonly name: string
  readonly lines: Line[] = []
  readonly #child: ChildProcess
  #wake: () => void = () => {}

  constructor(name: string, args: readonly string[]) {
    this.name = name
    this.#child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'], cwd: ROOT })
    const output = this.#child.stdout
    if (output === null) throw new Error(`${name} has no output`)
    createInterface(output).on('line', (text) => {
      this.lines.push(JSON.parse(text) as Line)
      this.#wake()
    })
  }

  /** The first line that fits, past or to come. */
  async until(what: string, fits: (line: Line) => boolean): Promise<Line> {
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const line = this.lines.find(fits)
      if (line !== undefined) return line
      const leftMs = deadline - Date.now()
      if (leftMs <= 0) {
        const last = JSON.stringify(this.lines.at(-1))
        throw new Error(`${this.name}: waited ${PATIENCE_MS} ms for ${what}, after ${last}`)
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  tell(text: string): void {
    this.#child.stdin?.write(`${text}\n`)
  }

  async exit(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const patience = AbortSignal.timeout(PATIENCE_MS)
    await once(this.#child, 'exit', { signal: patience }).catch(() => {
      throw new Error(`${this.name}: waited ${PATIENCE_MS} ms for the end`)
    })
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.exit()
  }
}

const startedAt = performance.now()
const secret = randomBytes(16).toString('hex')
const folder = mkdtempSync(join(tmpdir(), 'latica-demo-'))
const carolsFolder = join(folder, 'carol')
const processes: Process[] = []

try {
  await show()
  say('Done.')
} catch (error) {
  console.error(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  for (const one of processes) await one.kill()
  rmSync(folder, { recursive: true, force: true })
}

async function show(): Promise<void> {
  const carol = startCarol()
  const { ticket } = await carol.until('a ticket', ({ type }) => type === 'ticket')
  say('Carol is up: a peer of another app, who knows no secret.')
  const bob = startMember('bob', String(ticket))
  const alice = startMember('alice', String(ticket))
  const { peerId: bobsId } = await bob.until('his id', ({ type }) => type === 'up')
  const { peerId: alicesId } = await alice.until('her id', ({ type }) => type === 'up')
  say('Alice and Bob start. They share a secret and know Carol, and not each other.')
  await bob.until('hello', ({ type }) => type === 'private')
  say('Alice and Bob met through Carol. Bob reads: hello')
  bob.tell('leave')
  await bob.exit()
  await alice.until('Bob leaving', ({ type }) => type === 'leave')
  say('Bob goes offline, and Alice sees it.')
  alice.tell(`write ${bobsId}`)
  await alice.until('others keeping what she wrote', ({ type }) => type === 'written')
  alice.tell('leave')
  await alice.exit()
  say(`Alice wrote ${TEXTS.length} texts, a picture of 1 MiB and a word for Bob alone, and left.`)
  const isAll = ({ type, bytes }: Line) => type === 'keeping' && Number(bytes) > 1_048_576
  const { packets } = await carol.until('what she keeps', isAll)
  say(`Carol keeps ${packets} packets for them.`)
  tellWhatCarolCanRead()
  const again = startMember('bob', String(ticket))
  await bobReads(again, String(alicesId))
}

function startCarol(): Process {
  const command = join(ROOT, 'src', 'cli', 'main.ts')
  const options = ['--json', '--no-lan', '--no-port-mapping', '--storage', carolsFolder]
  return start('Carol', ['--import', 'tsx', command, 'up', '--cluster', 'another app', ...options])
}

function startMember(name: 'alice' | 'bob', ticket: string): Process {
  const script = join(ROOT, 'scripts', 'demo-member.ts')
  const words = [name, secret, ticket, join(folder, name)]
  return start(name === 'alice' ? 'Alice' : 'Bob', ['--import', 'tsx', script, ...words])
}

function start(name: string, args: readonly string[]): Process {
  const one = new Process(name, args)
  processes.push(one)
  return one
}

/** All of it, from Alice, in her order, and with nobody but Carol there. */
async function bobReads(bob: Process, alicesId: string): Promise<void> {
  const { at: upAt } = await bob.until('his return', ({ type }) => type === 'up')
  say('Bob is back.')
  const { sha256 } = await bob.until('the picture', ({ type }) => type === 'picture')
  await bob.until('the word for him', ({ text }) => text === PRIVATE_TEXT)
  const texts = bob.lines.filter(({ type }) => type === 'text')
  must(texts.map(({ text }) => text).join() === TEXTS.join(), 'the texts came in order, each once')
  must(sha256 === digest(picture()), 'the picture is what Alice sent')
  const written = bob.lines.filter(({ type }) => ['text', 'picture', 'private'].includes(type))
  must(
    written.every(({ author }) => author === alicesId),
    'Alice wrote all of it',
  )
  must(!bob.lines.some(({ type }) => type === 'join'), 'no member was there')
  for (const { text } of texts) say(`Bob reads: ${text}`)
  say(`Bob reads, for him alone: ${PRIVATE_TEXT}`)
  say('Bob sees the picture: 1048576 bytes, the same as Alice sent.')
  const lastMs = Math.max(...written.map(({ at }) => Number(at))) - Number(upAt)
  say(`He had all of it ${lastMs} ms after he came back, from Carol alone.`)
}

function tellWhatCarolCanRead(): void {
  const files = readdirSync(carolsFolder, { recursive: true, withFileTypes: true })
  const disk = Buffer.concat(
    files
      .filter((each) => each.isFile())
      .map((each) => readFileSync(join(each.parentPath, each.name))),
  )
  const image = Buffer.from(picture())
  const pieces = Array.from({ length: 64 }, (_, i) => image.subarray(16_384 * i, 16_384 * i + 16))
  const wanted = [...TEXTS, PRIVATE_TEXT, secret, ...pieces]
  const found = wanted.filter((each) => disk.includes(each)).length
  must(disk.length > image.length, 'Carol keeps it on her disk')
  must(found === 0, `Carol's disk holds nothing that can be read (${found} found)`)
  say(
    `Her disk has ${disk.length} bytes: ${wanted.length} pieces looked for, none is there in the clear.`,
  )
}

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(`not so: ${what}`)
}

function say(text: string): void {
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(2).padStart(6)} s  ${text}`)
}
