/**
 * Reading TypeScript as text: enough to measure and search code without its comments, strings and
 * regular expressions. Not a parser: it relies on code that the formatter has been over.
 */

/** The same text with comments, strings and regular expressions blanked; every offset stays. */
export function codeOf(text: string): string {
  const out = text.split('')
  const blank = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = ' '
  }
  /** Braces open inside each `${` we are in. */
  const templates: number[] = []
  let at = 0
  while (at < text.length) {
    const char = text.charAt(at)
    const depth = templates.length - 1
    let end = at + 1
    if (text.startsWith('//', at)) end = endOf(text, at, '\n')
    else if (text.startsWith('/*', at)) end = endOf(text, at + 2, '*/') + 2
    else if (char === "'" || char === '"') end = endOfQuoted(text, at)
    else if (char === '/' && startsRegExp(text, at)) end = endOfRegExp(text, at)
    else if (char === '`') {
      end = endOfTemplatePart(text, at + 1)
      if (text.charAt(end - 1) === '{') templates.push(0)
    } else {
      const open = templates[depth]
      if (open !== undefined && char === '{') templates[depth] = open + 1
      if (open !== undefined && char === '}') {
        if (open > 0) templates[depth] = open - 1
        else {
          end = endOfTemplatePart(text, at + 1)
          if (text.charAt(end - 1) !== '{') templates.pop()
          blank(at, end)
        }
      }
      at = end
      continue
    }
    blank(at, end)
    at = end
  }
  return out.join('')
}

export interface Block {
  /** The code before its brace, back to the previous statement or brace. */
  readonly header: string
  readonly line: number
  readonly lines: number
}

/** Every `{ … }` of blanked code. */
export function blocksOf(code: string): readonly Block[] {
  const blocks: Block[] = []
  const open: { header: string; line: number }[] = []
  let line = 1
  let headerFrom = 0
  for (let at = 0; at < code.length; at++) {
    const char = code.charAt(at)
    if (char === '\n') line++
    if (char === '{') open.push({ header: code.slice(headerFrom, at).trim(), line })
    if (char === '}') {
      const start = open.pop()
      if (start !== undefined) blocks.push({ ...start, lines: line - start.line + 1 })
    }
    if (char === '{' || char === '}' || char === ';') headerFrom = at + 1
  }
  return blocks
}

/** Whether a block with this header is the body of a function. */
export function isFunctionHeader(header: string): boolean {
  if (header.endsWith('=>')) return true
  const statement = header.split('\n').at(-1)?.trim() ?? ''
  if (/^(else\s+)?(if|for|while|switch|catch|with)\b/.test(statement)) return false
  return /\)\s*(:[^=]*)?$/.test(header)
}

function endOf(text: string, from: number, mark: string): number {
  const end = text.indexOf(mark, from)
  return end === -1 ? text.length : end
}

function endOfQuoted(text: string, at: number): number {
  const quote = text.charAt(at)
  let end = at + 1
  while (end < text.length && text.charAt(end) !== quote && text.charAt(end) !== '\n') {
    end += text.charAt(end) === '\\' ? 2 : 1
  }
  return end + 1
}

/** Just past the closing backtick, or past the brace of the next `${`. */
function endOfTemplatePart(text: string, at: number): number {
  let end = at
  while (end < text.length && text.charAt(end) !== '`') {
    if (text.startsWith('${', end)) return end + 2
    end += text.charAt(end) === '\\' ? 2 : 1
  }
  return end + 1
}

/** A slash after a value divides; elsewhere it begins a regular expression. */
function startsRegExp(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 40), at).trimEnd()
  return before === '' || /[(,=:[!&|?{};+*%~^<>-]$|\b(return|typeof|case|in|of)$/.test(before)
}

function endOfRegExp(text: string, at: number): number {
  let isInClass = false
  let end = at + 1
  while (end < text.length && text.charAt(end) !== '\n') {
    const char = text.charAt(end)
    if (char === '/' && !isInClass) break
    if (char === '[') isInClass = true
    if (char === ']') isInClass = false
    end += char === '\\' ? 2 : 1
  }
  return end + 1
}
