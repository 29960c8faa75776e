import { Buffer } from 'node:buffer'

/**
 * What a remote calls a file, made into a name in one folder that no system reads as anything else.
 * It decides names, and touches no disk.
 */

/** Most file systems take 255 bytes; some are left for ` (2)` and `.part`. */
const NAME_BYTES_MAX = 200
/** Controls, what turns the writing direction, and what Windows or a path gives a meaning. */
const UNSAFE = /[\p{Cc}\p{Cs}\u200e\u200f\u2028-\u202e\u2066-\u2069<>:"/\\|?*]/gu
/** Devices of Windows, whatever follows their first dot. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

/** A name for a file in a folder of ours. */
export function safeName(given: string): string {
  const last = given.split(/[/\\]/).at(-1) ?? ''
  const cleaned = last.normalize('NFC').replace(UNSAFE, '_')
  // Neither hidden nor `..`; Windows drops dots and spaces at the end.
  const trimmed = cleaned.replace(/^[.\s]+/, '').replace(/[.\s]+$/, '')
  const named = DEVICE.test(trimmed) ? `_${trimmed}` : trimmed
  return shorten(named) || 'file'
}

/** `name.ext`, then `name (2).ext`, `name (3).ext`, … */
export function numberedName(name: string, number: number): string {
  if (number === 1) return name
  const { stem, extension } = split(name)
  return `${stem} (${number})${extension}`
}

function shorten(name: string): string {
  if (Buffer.byteLength(name) <= NAME_BYTES_MAX) return name
  const { stem, extension } = split(name)
  const kept = Buffer.byteLength(extension) <= 20 ? extension : ''
  const room = NAME_BYTES_MAX - Buffer.byteLength(kept)
  let short = ''
  let size = 0
  for (const character of kept === '' ? name : stem) {
    size += Buffer.byteLength(character)
    if (size > room) break
    short += character
  }
  return `${short.trimEnd()}${kept}`
}

function split(name: string): { stem: string; extension: string } {
  const dot = name.lastIndexOf('.')
  if (dot <= 0) return { stem: name, extension: '' }
  return { stem: name.slice(0, dot), extension: name.slice(dot) }
}
