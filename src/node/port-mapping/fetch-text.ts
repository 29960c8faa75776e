import { request } from 'node:http'

export interface Fetched {
  readonly status: number
  readonly text: string
}

export interface TextRequest {
  /** The address of ours to ask from. */
  readonly from: string
  readonly method: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Guess: several times the longest description seen, of some 10 kB. */
const TEXT_BYTES_MAX = 128 * 1024

/** One short text over HTTP, on a connection of its own, without redirections; undefined when not. */
export function fetchText(
  url: URL,
  { from, method, headers = {}, body = '' }: TextRequest,
  signal: AbortSignal,
): Promise<Fetched | undefined> {
  return new Promise((resolve) => {
    const options = {
      method,
      headers: { ...headers, 'Content-Length': Buffer.byteLength(body), Connection: 'close' },
      localAddress: from,
      agent: false,
      signal,
    } as const
    const call = request(url, options, (response) => {
      const parts: Buffer[] = []
      let bytes = 0
      response.on('data', (part: Buffer) => {
        bytes += part.length
        if (bytes > TEXT_BYTES_MAX) call.destroy()
        else parts.push(part)
      })
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') })
      })
      response.on('error', () => resolve(undefined))
      response.on('close', () => resolve(undefined))
    })
    call.on('error', () => resolve(undefined))
    call.on('close', () => resolve(undefined))
    call.end(body)
  })
}
