import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { loadCrypto } from '../api/provider.ts'
import { ANN, BOB } from '../api/scripted-host.fixture.ts'
import { decodeValue } from '../api/values.ts'
import {
  OFFER_EVENT,
  PART_EVENT,
  partValue,
  readPart,
  WANT_EVENT,
  wantValue,
} from './file-offer.ts'
import { offerOf } from './file-parts.ts'
import { FileReceiver } from './file-receiver.ts'
import { FileSender } from './file-sender.ts'
import { temporaryFolder } from './process.fixture.ts'
import { type Member, ScriptedRoom, scriptedInvocation } from './scripted-room.fixture.ts'

const crypto = await loadCrypto()
const LIMIT = { timeout: 30_000 }
const MEBIBYTE = 1_048_576
const CONTENT = Uint8Array.from({ length: 3 * MEBIBYTE + 9 }, (_, i) => (i * 31 + (i >> 13)) % 251)

async function fileIn(t: TestContext, name = 'a.bin', content: Uint8Array = CONTENT) {
  const path = join(temporaryFolder(t), name)
  await writeFile(path, content)
  return { path, offer: await offerOf(crypto, path) }
}

async function senderOf(member: Member, path: string) {
  const { invocation, printed } = scriptedInvocation()
  const sender = new FileSender(invocation, crypto, member, undefined)
  sender.add(path, await offerOf(crypto, path))
  return { sender, printed }
}

/** Receives until `count` files are whole. */
function receiving(t: TestContext, member: Member, folder = temporaryFolder(t)) {
  const { invocation, printed, stop } = scriptedInvocation()
  t.after(() => stop.abort())
  const receiver = new FileReceiver(invocation, crypto, member, folder)
  const until = (count: number) => receiver.run(count, stop.signal)
  return { folder, printed, until, stop, receiver }
}

async function assertReceived(folder: string, name = 'a.bin'): Promise<void> {
  assert.deepEqual(await readdir(folder), [name])
  assert.equal(Buffer.compare(await readFile(join(folder, name)), CONTENT), 0)
}

test('a file arrives whole, and the sender hears who has it', LIMIT, async (t) => {
  const room = new ScriptedRoom()
  const [ann, bob] = [await room.enter(ANN), await room.enter(BOB)]
  const { path, offer } = await fileIn(t)
  const { folder, printed, until } = receiving(t, bob)
  const received = until(1)
  const { sender } = await senderOf(ann, path)
  await sender.publish()
  await received
  await assertReceived(folder)
  await sender.isReceived(AbortSignal.timeout(5_000))
  const [file] = sender.files()
  assert.deepEqual([file?.total, file?.kept, file?.receivers], [4, 4, [BOB]])
  const types = printed.map(({ type }) => type).filter((type) => type !== 'progress')
  assert.deepEqual(types, ['offer', 'received'])
  assert.equal(printed.at(-1)?.['file'], offer.file)
})

test('a receiver that comes when the sender is gone reads what is kept', LIMIT, async (t) => {
  const room = new ScriptedRoom()
  const [ann, bob] = [await room.enter(ANN), await room.enter(BOB)]
  const { path } = await fileIn(t)
  const { sender } = await senderOf(ann, path)
  await sender.publish()
  room.leave(ann)
  const { folder, until } = receiving(t, bob)
  await until(1)
  await assertReceived(folder)
})

test('parts that were lost are asked for and published again', LIMIT, async (t) => {
  const room = new ScriptedRoom()
  const ann = await room.enter(ANN)
  const { path } = await fileIn(t)
  const first = await senderOf(ann, path)
  await first.sender.publish()
  const bob = await room.enter(BOB)
  bob.kept.push(...ann.kept.filter(({ event }) => event === OFFER_EVENT))
  // A later run of the sender: what it published before is not published again unasked.
  room.leave(ann)
  const again = await room.enter(ANN, ann.kept)
  const { folder, until } = receiving(t, bob)
  const received = until(1)
  const { sender } = await senderOf(again, path)
  await sender.publish()
  const parts = () => again.host.all('publish').filter(({ event }) => event === PART_EVENT).length
  assert.equal(parts(), 0)
  await received
  assert.equal(parts(), 4)
  await assertReceived(folder)
  assert.deepEqual(sender.files()[0]?.receivers, [BOB])
})

test('a receiver that was stopped goes on with what it lacks', LIMIT, async (t) => {
  const room = new ScriptedRoom()
  const [ann, bob] = [await room.enter(ANN), await room.enter(BOB)]
  const { path } = await fileIn(t)
  room.isLost = ({ event, value }) =>
    event === PART_EVENT && (readPart(decodeValue(value))?.index ?? 0) > 1
  const one = receiving(t, bob)
  const stopped = one.until(1)
  const first = await senderOf(ann, path)
  await first.sender.publish()
  while (first.sender.files()[0]?.kept !== 4) await new Promise(setImmediate)
  one.stop.abort()
  await stopped
  assert.match((await readdir(one.folder)).join(), /^a\.bin\.[0-9a-f]{8}\.part$/)
  // A wiped store: the `.part` file alone remembers.
  room.leave(bob)
  const fresh = await room.enter(
    BOB,
    bob.kept.filter(({ event }) => event === OFFER_EVENT),
  )
  room.isLost = () => false
  room.leave(ann)
  const again = await room.enter(ANN, ann.kept)
  const two = receiving(t, fresh, one.folder)
  const done = two.until(1)
  const second = await senderOf(again, path)
  await second.sender.publish()
  await done
  await assertReceived(one.folder)
  assert.equal(two.printed.find(({ type }) => type === 'offer')?.['doneBytes'], 2 * MEBIBYTE)
  const wanted = fresh.host.all('publish').filter(({ event }) => event === WANT_EVENT)
  const [want] = wanted.map(({ value }) => decodeValue(value))
  assert.deepEqual(Reflect.get(Object(want), 'parts'), [2, 3])
})

test('a file that is here already is not taken again, and its sender is told', LIMIT, async (t) => {
  const room = new ScriptedRoom()
  const [ann, bob] = [await room.enter(ANN), await room.enter(BOB)]
  const { path, offer } = await fileIn(t)
  const folder = temporaryFolder(t)
  await writeFile(join(folder, 'a.bin'), CONTENT)
  const { printed, until } = receiving(t, bob, folder)
  const received = until(1)
  const { sender } = await senderOf(ann, path)
  await sender.publish()
  await received
  assert.deepEqual(
    printed.map(({ type }) => type),
    ['complete'],
  )
  await assertReceived(folder)
  // Somebody who comes later is told as well.
  room.leave(ann)
  const third = receiving(t, bob, folder)
  const run = third.until(2)
  while (third.receiver.count < 1) await new Promise(setImmediate)
  const late: FileSender[] = []
  await room.enter(ANN, [], (member) => {
    const { invocation } = scriptedInvocation()
    const again = new FileSender(invocation, crypto, member, undefined)
    again.add(path, offer)
    late.push(again)
  })
  await late[0]?.isReceived(AbortSignal.timeout(5_000))
  assert.deepEqual(late[0]?.files()[0]?.receivers, [BOB])
  third.stop.abort()
  await run
})

test('forged offers, parts and wants of a member do no harm', LIMIT, async (t) => {
  const room = new ScriptedRoom()
  const [ann, bob] = [await room.enter(ANN), await room.enter(BOB)]
  const mallory = await room.enter('03'.repeat(32) as typeof ANN)
  const { path, offer } = await fileIn(t)
  const { folder, until } = receiving(t, bob)
  await mkdir(join(folder, 'sub'))
  const received = until(1)
  await mallory.room.emit(OFFER_EVENT, { file: new Uint8Array(32), name: '../x', size: 1e15 })
  await mallory.room.emit(OFFER_EVENT, 'no offer')
  await mallory.room.emit(PART_EVENT, { file: 5 })
  // Of the file, but not what it has there; and before the offer.
  const forged = { file: offer.file, index: 1, bytes: new Uint8Array(MEBIBYTE) }
  await mallory.room.emit(PART_EVENT, partValue(forged))
  for (let i = 0; i < 40; i++)
    await mallory.room.emit(PART_EVENT, partValue({ ...forged, file: 'ab'.repeat(32) }))
  const { sender } = await senderOf(ann, path)
  await mallory.room.emit(WANT_EVENT, wantValue(offer.file, [0, 1, 2, 99]), { delivery: 'live' })
  await mallory.room.emit(WANT_EVENT, { file: 'x', parts: [] }, { delivery: 'live' })
  await sender.publish()
  await received
  assert.deepEqual((await readdir(folder)).sort(), ['a.bin', 'sub'])
  assert.equal(Buffer.compare(await readFile(join(folder, 'a.bin')), CONTENT), 0)
  const parts = ann.host.all('publish').filter(({ event }) => event === PART_EVENT)
  assert.equal(parts.length, 4)
})

test('a file that changes while it is sent is an error, not a wrong file', LIMIT, async (t) => {
  const room = new ScriptedRoom()
  const ann = await room.enter(ANN)
  const { path } = await fileIn(t)
  const { sender } = await senderOf(ann, path)
  await writeFile(
    path,
    CONTENT.map((byte) => byte ^ 1),
  )
  await assert.rejects(sender.publish(), /changed while it was sent/)
})

test('with nobody there, no part counts as kept', LIMIT, async (t) => {
  const room = new ScriptedRoom()
  const ann = await room.enter(ANN)
  const { path } = await fileIn(t)
  const { sender } = await senderOf(ann, path)
  await sender.publish()
  assert.deepEqual([sender.files()[0]?.total, sender.files()[0]?.kept], [4, 0])
})
