import { createInterface } from 'node:readline'
import { Encryption, network } from 'latica'

/**
 * The programme of a peer that writes much and leaves, or comes and reads it. Without a secret it is a
 * stranger of another app. Told what to do, and tells what happened, as lines of JSON.
 */
const {
  cluster = 'latica-test',
  secret,
  order = 'strict',
  ...options
} = JSON.parse(process.argv[2] ?? '{}')
const startedAt = performance.now()
const clusterId = await Encryption.createClusterId(cluster)
const socket = await network({ portMapping: false, lan: false, ...options, clusterId })
const room =
  secret === undefined
    ? undefined
    : await socket.subcluster({
        sharedKey: await Encryption.createSharedKey(secret),
        order,
      })

function tell(type: string, fields: object = {}): void {
  console.log(JSON.stringify({ type, ...fields }))
}

/** What came, in the order in which it came: the number that each value begins with. */
const numbers: number[] = []
let expected = Number.POSITIVE_INFINITY
let bytes = 0
let gaps = 0
room?.on('text', (text: string, packet) => took(Number.parseInt(text, 10), text.length, packet))
room?.on('blob', (blob: Uint8Array, packet) => {
  const number = new DataView(blob.buffer, blob.byteOffset).getUint32(0)
  took(blob.every((byte, i) => i < 4 || byte === number % 251) ? number : -1, blob.length, packet)
})

function took(number: number, sizeBytes: number, packet: { readonly gap: boolean }): void {
  numbers.push(number)
  bytes += sizeBytes
  if (packet.gap) gaps++
  tellWhenAllRead()
}

function tellWhenAllRead(): void {
  if (numbers.length !== expected) return
  const isInOrder = numbers.every((number, i) => number === i)
  tell('read', { isInOrder, gaps, bytes, ms: performance.now() - startedAt, numbers })
}

const [local] = socket.info().local
tell('up', { peer: socket.peerId, ticket: socket.ticket(), port: local?.port })

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...fields } = JSON.parse(line)
  if (command === 'close') break
  await obey(command, fields)
}
await socket.close()
process.stdin.destroy()

interface Fields {
  readonly texts: number
  readonly textBytes: number
  readonly blobs: number
  readonly blobBytes: number
  readonly text: string
  readonly count: number
}

async function obey(command: string, fields: Fields): Promise<void> {
  switch (command) {
    case 'write':
      return write(fields)
    case 'expect':
      expected = Math.max(fields.count, numbers.length)
      return tellWhenAllRead()
    case 'history': {
      const seen: number[] = []
      for await (const { event, value } of room?.history({ since: 0 }) ?? [])
        seen.push(event === 'text' ? Number.parseInt(value, 10) : numberOf(value))
      return tell('history', { numbers: seen })
    }
    case 'stats':
      tell('stats', { counters: socket.stats() })
  }
}

function numberOf(blob: Uint8Array): number {
  return new DataView(blob.buffer, blob.byteOffset).getUint32(0)
}

/** Numbered values; tells each one's number when others keep it. */
async function write({ texts, textBytes, blobs, blobBytes, text }: Fields): Promise<void> {
  const writing: Promise<unknown>[] = []
  let number = 0
  const kept: number[] = []
  const publish = (event: string, value: unknown) => {
    const mine = number++
    writing.push(
      (room?.emit(event, value) ?? Promise.resolve()).then(() => {
        kept.push(mine)
        if (kept.length % 100 === 0) tell('kept', { count: kept.length, numbers: kept })
      }),
    )
  }
  for (let i = 0; i < texts; i++) publish('text', `${number} ${text}`.padEnd(textBytes, '.'))
  for (let i = 0; i < blobs; i++) {
    const blob = new Uint8Array(blobBytes).fill(number % 251)
    new DataView(blob.buffer).setUint32(0, number)
    publish('blob', blob)
  }
  await Promise.all(writing)
  tell('written', { count: number, ms: performance.now() - startedAt })
}
