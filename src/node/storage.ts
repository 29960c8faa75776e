import { existsSync, readFileSync, renameSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { ClassicLevel } from 'classic-level'
import { assert } from '../core/errors.ts'
import type { StoredRecord } from '../core/io.ts'
import type { Storage } from '../driver/ports.ts'
import { errorCode, HostError } from './host-error.ts'
import { WriteQueue } from './write-queue.ts'

export interface OpenedStorage extends Storage {
  /** Where a damaged store was moved to, untouched, if there was one. */
  readonly setAside: string | undefined
  /** How many of its records were whole and are in the store again. */
  readonly recovered: number
}

/**
 * A folder of LevelDB for one process. Decides what counts as damage: whatever LevelDB itself
 * reports, whatever it passes over in silence (dropped log records, a lost CURRENT), and every
 * record whose own checksum fails, since LevelDB does not check what it reads. A damaged store is
 * set aside and a fresh one takes over its whole records; it is never a crash and never silent.
 *
 * A write that has resolved survives the process, and the machine but for its last seconds.
 */
export async function openStorage(path: string): Promise<OpenedStorage> {
  const opened = await openWhole(path)
  if (opened !== undefined) return new LevelStorage(opened, undefined, 0)

  const setAside = unusedName(path)
  renameSync(path, setAside)
  const fresh = await openWhole(path)
  assert(fresh !== undefined, 'a fresh store is whole')
  const survivors = await readSurvivors(setAside)
  await fresh.batch(survivors.map(([key, value]) => ({ type: 'put', key, value })))
  return new LevelStorage(fresh, setAside, survivors.length)
}

/** Where a peer keeps what it remembers: XDG base directories, one folder a cluster. */
export function defaultStoragePath(clusterName?: string): string {
  const state = process.env['XDG_STATE_HOME'] ?? ''
  const root = isAbsolute(state) ? state : join(homedir(), '.local', 'state')
  if (clusterName === undefined) return join(root, 'latica')
  return join(root, 'latica', encodeURIComponent(clusterName).replaceAll('.', '%2E'))
}

type Level = ClassicLevel<string, Uint8Array>
type Sealed = readonly [key: string, value: Uint8Array]

const CHECKSUM_BYTES = 4

class LevelStorage implements OpenedStorage {
  readonly setAside: string | undefined
  readonly recovered: number
  readonly #level: Level
  readonly #queue: WriteQueue

  constructor(level: Level, setAside: string | undefined, recovered: number) {
    this.setAside = setAside
    this.recovered = recovered
    this.#level = level
    this.#queue = new WriteQueue((batch) =>
      level.batch(
        [...batch].map(([key, value]) =>
          value === undefined ? { type: 'del', key } : { type: 'put', key, value },
        ),
      ),
    )
  }

  async load(prefix: string): Promise<readonly StoredRecord[]> {
    await this.#queue.idle()
    const records: StoredRecord[] = []
    for await (const [key, sealed] of recordsFrom(this.#level, prefix)) {
      if (!key.startsWith(prefix)) break
      const value = unseal(key, sealed)
      if (value === undefined) throw damagedInUse(this.#level.location)
      records.push({ key, value })
    }
    return records
  }

  write(key: string, value: Uint8Array | undefined): Promise<void> {
    return this.#queue.write(key, value === undefined ? undefined : seal(key, value))
  }

  async close(): Promise<void> {
    await this.#queue.idle()
    await this.#level.close()
  }
}

/** Opens and checks a store; undefined when it is damaged. Throws when the machine refuses. */
async function openWhole(path: string): Promise<Level | undefined> {
  if (await lacksCurrent(path)) return undefined
  const level = await openLevel(path)
  if (level === undefined) return undefined
  if (!droppedRecords(path) && (await isWhole(level))) return level
  await level.close()
  return undefined
}

async function openLevel(path: string): Promise<Level | undefined> {
  // Loaded on first use: the binding costs a tenth of the package's import budget.
  const { ClassicLevel } = await import('classic-level')
  try {
    // Private keys live here. A level makes its folder as soon as it is constructed, open to all.
    await mkdir(path, { recursive: true, mode: 0o700 })
    const level: Level = new ClassicLevel(path, { keyEncoding: 'utf8', valueEncoding: 'view' })
    await level.open()
    return level
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error
    if (isDamage(cause)) return undefined
    throw refusal(cause, path)
  }
}

function isDamage(cause: unknown): boolean {
  const code = errorCode(cause)
  const message = cause instanceof Error ? cause.message : ''
  // A file of the store that is missing or cut short is an I/O error to LevelDB.
  const isFileLost = /No such file|Invalid argument/.test(message)
  return (
    code === 'LEVEL_CORRUPTION' ||
    (code === 'LEVEL_IO_ERROR' && isFileLost) ||
    // A file where the folder should be.
    code === 'EEXIST'
  )
}

function refusal(cause: unknown, path: string): HostError {
  if (errorCode(cause) === 'LEVEL_LOCKED') {
    return new HostError(
      'ELOCKED',
      `the storage folder ${path} is in use by another process`,
      'Stop that process, or give each one a `storage` folder of its own',
      cause,
    )
  }
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new HostError(
    'ESTORAGE',
    `the storage folder ${path} cannot be used: ${reason}`,
    'Make it writable, free some space, choose another `storage` folder, or `storage: false`',
    cause,
  )
}

function damagedInUse(path: string): HostError {
  return new HostError(
    'ESTORAGE',
    `the storage folder ${path} was damaged while in use`,
    'Restart: the damaged store is set aside and what is whole in it recovered',
  )
}

/** LevelDB takes a store without its CURRENT file for an empty one, and deletes what it finds. */
async function lacksCurrent(path: string): Promise<boolean> {
  const names = await readdir(path).catch((): string[] => [])
  return names.some((name) => /\.(ldb|log)$/.test(name)) && !names.includes('CURRENT')
}

/** LevelDB tells its own log alone of damaged write-ahead records, and carries on without them. */
function droppedRecords(path: string): boolean {
  return /dropping \d+ bytes; Corruption/.test(readFileSync(join(path, 'LOG'), 'utf8'))
}

async function isWhole(level: Level): Promise<boolean> {
  try {
    for await (const [key, sealed] of recordsFrom(level, '')) {
      if (unseal(key, sealed) === undefined) return false
    }
    return true
  } catch {
    return false
  }
}

/**
 * The records of a damaged store that can be read and are as they were written. LevelDB's repair does
 * without CURRENT and MANIFEST and passes over what is broken; it works on a copy, because it moves
 * and deletes files.
 */
async function readSurvivors(path: string): Promise<readonly Sealed[]> {
  const { ClassicLevel } = await import('classic-level')
  const survivors: Sealed[] = []
  const copy = await mkdtemp(`${path}.repair-`)
  try {
    await cp(path, copy, { recursive: true })
    await ClassicLevel.repair(copy)
    const level = await openLevel(copy)
    try {
      for await (const record of level === undefined ? [] : recordsFrom(level, '')) {
        if (unseal(...record) !== undefined) survivors.push(record)
      }
    } finally {
      await level?.close()
    }
  } catch {
    // Nothing can be read from here on.
  }
  await rm(copy, { recursive: true, force: true })
  return survivors
}

/** From the first key that is not less than `prefix`, in the keys' order. */
function recordsFrom(level: Level, prefix: string): AsyncIterable<Sealed> {
  return level.iterator({ gte: prefix, highWaterMarkBytes: 1 << 20 })
}

function seal(key: string, value: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(value.length + CHECKSUM_BYTES)
  sealed.set(value)
  new DataView(sealed.buffer).setUint32(value.length, checksum(key, value))
  return sealed
}

function unseal(key: string, sealed: Uint8Array): Uint8Array | undefined {
  const length = sealed.length - CHECKSUM_BYTES
  if (length < 0) return undefined
  // A plain Uint8Array, where LevelDB gives a Buffer: their `slice` differs.
  const value = new Uint8Array(sealed.buffer, sealed.byteOffset, length)
  const stored = new DataView(sealed.buffer, sealed.byteOffset).getUint32(length)
  return stored === checksum(key, value) ? value : undefined
}

function checksum(key: string, value: Uint8Array): number {
  return crc32(value, crc32(key))
}

function unusedName(path: string): string {
  let n = 1
  while (existsSync(`${path}.corrupt-${n}`)) n++
  return `${path}.corrupt-${n}`
}
