import { Buffer } from 'node:buffer'
import { harmless } from './printer.ts'

/** Values on a command line and in its output: what people type, what programmes read. */

/** JSON when it is that, else the text itself. */
export function parsedValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A value that came, as JSON can hold it: bytes in base64, dates as text, maps as entries. */
export function jsonOf(value: unknown): unknown {
  if (value === undefined) return null
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') }
  // A date that is none has no text.
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (Array.isArray(value)) return value.map(jsonOf)
  if (value instanceof Map) return [...value].map(([key, item]) => [jsonOf(key), jsonOf(item)])
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, jsonOf(item)]))
}

/** A value that came, on one line for people. */
export function lineOf(value: unknown): string {
  if (typeof value === 'string') return harmless(value)
  if (value instanceof Uint8Array) return `<${value.length} bytes>`
  return harmless(JSON.stringify(jsonOf(value)))
}
