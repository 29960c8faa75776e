import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import type { AnsweredBy, Mapped, Question } from './nat-mirror.fixture.ts'

/**
 * The programme of a host behind a NAT that measures it, with mirrors in the internet. It says what it
 * saw; what that means is nat-verify's. Commands and answers are lines of JSON.
 */

/** What one socket looked like from each of several places, in the order asked. */
export interface Sighting {
  readonly localPort: number
  readonly mapped: readonly (Mapped | null)[]
}

export interface Survey {
  /** One socket, seen by both ports of both mirrors. */
  readonly one: Sighting
  /** Sockets one after the other, seen by one mirror. */
  readonly inOrder: readonly Sighting[]
  /** As many sockets as a birthday attack opens, at once, each seen by two mirrors. */
  readonly many: readonly Sighting[]
  /** One socket, seen by a mirror, and by another that sent to it before it was asked. */
  readonly knocked: Sighting
  readonly heardFromOtherPort: boolean
  readonly heardFromOtherHost: boolean
  /** From where our other socket heard what we sent to its external address. */
  readonly hairpin: Mapped | null
  /** The external address of what sent it. */
  readonly hairpinSender: Mapped | null
  readonly speaksTcp: boolean
}

/** Whether an answer that came after silence, from whom we asked and from who never heard of us, came. */
export interface Silence {
  readonly afterMs: number
  readonly heardSame: boolean
  readonly heardHost: boolean
}

export interface Echoes {
  readonly sent: number
  readonly heard: number
  readonly fastestMs: number
}

/** For 3 s, for what does not come before that does not come: the machine may be busy for seconds. */
const TRIES = 25
const TRY_MS = 120
/** For what comes, sooner or later: as long as that again, and again. */
const PATIENT_TRIES = 100
/** How late an answer after silence may be. */
const LATE_MS = 1_500
const MANY = 256
const BATCH = 64
const IN_ORDER = 6
const ECHOES = 250
/** Only what is lost takes so long, unless the machine is busy. */
const ECHO_MS = 3_000
/** On a busy machine the fastest of many echoes may still be late: so many more are asked for. */
const QUICK_TRIES = 200
const QUICK_GAP_MS = 20
/** At least; then until the other was heard, so many times more, or given up. */
const GREETINGS = 10
const GREETINGS_AFTER = 8
const GREETINGS_MAX = 50
const GREETING_MS = 60

class Probe {
  readonly #socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
  readonly #waiting = new Map<string, (mapped: Mapped) => void>()
  readonly greetedFrom: Mapped[] = []
  mapped: Mapped | null = null

  constructor() {
    this.#socket.on('message', (data, { address, port }) => {
      const { id, greeting, ...mapped } = JSON.parse(data.toString())
      if (greeting !== undefined) this.greetedFrom.push({ host: address, port })
      else this.#waiting.get(id)?.(mapped)
    })
  }

  static async open(port = 0): Promise<Probe> {
    const probe = new Probe()
    probe.#socket.bind(port)
    await once(probe.#socket, 'listening')
    return probe
  }

  get localPort(): number {
    return this.#socket.address().port
  }

  /** Asks until answered; null when that never comes. */
  async ask(
    mirror: Mapped,
    by: AnsweredBy = 'same',
    tries = TRIES,
    tryMs = TRY_MS,
  ): Promise<Mapped | null> {
    const question = { id: newId(), by, afterMs: 0, copies: 1 }
    for (let i = 0; i < tries; i++) {
      const mapped = await this.#answer(mirror, question, tryMs)
      if (mapped !== null) return mapped
    }
    return null
  }

  /** Says nothing until the answer should be there. Copies go out and come back for those lost. */
  async askLater(mirror: Mapped, by: AnsweredBy, afterMs: number): Promise<boolean> {
    const question = { id: newId(), by, afterMs, copies: 4 }
    for (let i = 1; i < question.copies; i++) send(this.#socket, mirror, question)
    return (await this.#answer(mirror, question, afterMs + LATE_MS)) !== null
  }

  greet(to: Mapped): void {
    send(this.#socket, to, { greeting: true })
  }

  close(): void {
    this.#socket.close()
  }

  #answer(mirror: Mapped, question: Question, atMostMs: number): Promise<Mapped | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, atMostMs, null)
      this.#waiting.set(question.id, (mapped) => {
        clearTimeout(timer)
        resolve(mapped)
      })
      send(this.#socket, mirror, question)
    })
  }
}

/** What is seen where no UDP passes. */
const NOTHING = {
  one: { localPort: 0, mapped: [] },
  inOrder: [],
  many: [],
  knocked: { localPort: 0, mapped: [] },
  heardFromOtherPort: false,
  heardFromOtherHost: false,
  hairpin: null,
  hairpinSender: null,
}

const [mirrors = []] = process.argv.slice(1).map((word) => JSON.parse(word) as Mapped[])
const [oneA, oneB, twoA, twoB] = mirrors
if (!oneA || !oneB || !twoA || !twoB) throw new Error('Needs two ports of two mirrors')
const opened: Probe[] = []
let ids = 0
console.log('{"type":"up"}')

for await (const line of createInterface({ input: process.stdin })) {
  const { command, id, ...fields } = JSON.parse(line)
  void obey(command, fields).then((result) => {
    console.log(JSON.stringify({ type: 'result', id, result }))
  })
}
process.exit()

async function obey(command: string, fields: Readonly<Record<string, never>>): Promise<unknown> {
  const probe = opened[fields['socket'] ?? -1]
  switch (command) {
    case 'survey':
      return survey()
    case 'silence':
      return silence(fields['afterMs'] ?? 0)
    case 'echoes':
      return echoes(fields['quickMs'] ?? 0)
    case 'open':
      return open(fields['port'])
    case 'seen':
      return probe?.ask(twoA as Mapped)
    case 'later':
      return probe?.askLater(oneA as Mapped, 'same', fields['afterMs'] ?? 0)
    case 'greet':
      return greet(probe, fields['to'])
  }
  throw new Error(`No such command: ${command}`)
}

async function survey(): Promise<Survey> {
  const [first, second, third, fourth] = [oneA, oneB, twoA, twoB] as Mapped[]
  const speaksTcp = canConnect(first as Mapped)
  const inOrder = []
  for (let i = 0; i < IN_ORDER; i++) {
    inOrder.push(await sighting([first as Mapped], i === 0 ? TRIES : PATIENT_TRIES))
    if (inOrder[0]?.mapped[0] === null) return { ...NOTHING, speaksTcp: await speaksTcp }
  }
  const one = await sighting([first, second, third, fourth] as Mapped[])
  const many = await surveyMany()
  const [filtering, hairpin] = await Promise.all([surveyFilter(), ownHairpin()])
  return { one, inOrder, many, ...filtering, ...hairpin, speaksTcp: await speaksTcp }
}

async function surveyMany(): Promise<Sighting[]> {
  const sightings: Sighting[] = []
  while (sightings.length < MANY) {
    const batch = [...Array(BATCH)].map(() => sighting([oneA, twoA] as Mapped[]))
    sightings.push(...(await Promise.all(batch)))
  }
  return sightings
}

/** The socket stays open, so that no other gets its port. */
async function sighting(places: readonly Mapped[], tries = PATIENT_TRIES): Promise<Sighting> {
  const probe = await Probe.open()
  const mapped = []
  for (const place of places) mapped.push(await probe.ask(place, 'same', tries))
  return { localPort: probe.localPort, mapped }
}

async function surveyFilter() {
  const probe = await Probe.open()
  const before = await probe.ask(oneA as Mapped)
  const [port, host] = await Promise.all([
    probe.ask(oneA as Mapped, 'port'),
    probe.ask(oneA as Mapped, 'host'),
  ])
  const after = await probe.ask(twoA as Mapped)
  return {
    knocked: { localPort: probe.localPort, mapped: [before, after] },
    heardFromOtherPort: port !== null,
    heardFromOtherHost: host !== null,
  }
}

/** Both send: a carrier may send them back while our own router only lets in what was asked for. */
async function ownHairpin() {
  const [from, to] = await Promise.all([Probe.open(), Probe.open()])
  const [hairpinSender, target] = await Promise.all([
    from.ask(oneA as Mapped),
    to.ask(oneA as Mapped),
  ])
  if (target === null || hairpinSender === null) return { hairpin: null, hairpinSender }
  await Promise.all([greet(from, target), greet(to, hairpinSender)])
  return { hairpin: to.greetedFrom[0] ?? null, hairpinSender }
}

async function silence(afterMs: number): Promise<Silence> {
  const heard = async (by: AnsweredBy) => {
    const probe = await Probe.open()
    if ((await probe.ask(oneA as Mapped)) === null) return false
    return probe.askLater(oneA as Mapped, by, afterMs)
  }
  const [heardSame, heardHost] = await Promise.all([heard('same'), heard('host')])
  return { afterMs, heardSame, heardHost }
}

/**
 * Many questions at a steady pace, each asked once. Then one at a time, which count for the time only,
 * until one echo was quick.
 */
async function echoes(quickMs: number): Promise<Echoes> {
  const probe = await Probe.open()
  if ((await probe.ask(oneA as Mapped)) === null)
    return { sent: ECHOES, heard: 0, fastestMs: ECHO_MS }
  let fastestMs = ECHO_MS
  const echo = async () => {
    const startedAt = performance.now()
    const mapped = await probe.ask(oneA as Mapped, 'same', 1, ECHO_MS)
    if (mapped !== null) fastestMs = Math.min(fastestMs, performance.now() - startedAt)
    return mapped !== null
  }
  const waiting: Promise<boolean>[] = []
  for (let i = 0; i < ECHOES; i++) {
    waiting.push(echo())
    if (i % 4 === 3) await sleep(8)
  }
  const heard = (await Promise.all(waiting)).filter(Boolean).length
  for (let i = 0; i < QUICK_TRIES && fastestMs > quickMs; i++) {
    await sleep(QUICK_GAP_MS)
    await echo()
  }
  return { sent: ECHOES, heard, fastestMs }
}

async function open(port: number | undefined) {
  const probe = await Probe.open(port)
  const mapped = await probe.ask(oneA as Mapped)
  return { socket: opened.push(probe) - 1, localPort: probe.localPort, mapped }
}

/** Also after it heard: the other side may not have. */
async function greet(probe: Probe | undefined, to: Mapped | undefined): Promise<Mapped[]> {
  const heard = probe?.greetedFrom ?? []
  let after = 0
  for (let i = 0; i < GREETINGS_MAX; i++) {
    if (i >= GREETINGS && after >= GREETINGS_AFTER) break
    if (heard.length > 0) after++
    if (to !== undefined) probe?.greet(to)
    await sleep(GREETING_MS)
  }
  return heard
}

async function canConnect({ host, port }: Mapped): Promise<boolean> {
  const connection = connect({ host, port })
  const timer = setTimeout(() => connection.destroy(new Error('too late')), TRIES * TRY_MS)
  const connected = await once(connection, 'connect').catch(() => null)
  clearTimeout(timer)
  connection.destroy()
  return connected !== null
}

function send(socket: Socket, { host, port }: Mapped, content: object): void {
  // What the kernel refuses to send counts as lost.
  socket.send(JSON.stringify(content), port, host, () => {})
}

function newId(): string {
  return `${process.pid}-${ids++}`
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
