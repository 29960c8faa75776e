import type { Client, Contender } from './contender.ts'
import { dgram } from './dgram.ts'
import { latica } from './latica.ts'
import { secretStreamOverTcp, secretStreamOverUdx } from './secret-stream.ts'

/**
 * One side of a contender in a process of its own: `process.ts <contender> <dist> [address]`. Told
 * what to measure over IPC; ends with the parent.
 */
export type Order =
  | { readonly type: 'ask'; readonly count: number; readonly sizeBytes: number }
  | { readonly type: 'transfer' }
  /** What the process has used of the processor so far. */
  | { readonly type: 'usage' }
export type Report =
  | { readonly type: 'ready'; readonly address: string }
  /** Milliseconds of each repetition. */
  | { readonly type: 'measured'; readonly times: readonly number[] }
  | { readonly type: 'usage'; readonly cpuMs: number }

const [name = '', dist = '', address] = process.argv.slice(2)
const contender = contenderOf(name)
const place = address === undefined ? await contender.serve() : address
const client = address === undefined ? undefined : await contender.connect(address)

process.on('disconnect', () => process.exit())
process.on('message', async (order: Order) => report(await obey(order)))
report({ type: 'ready', address: place })

function contenderOf(name: string): Contender {
  switch (name) {
    case 'dgram':
      return dgram(false)
    case 'dgram-sealed':
      return dgram(true)
    case 'latica':
      return latica(dist)
    case 'udx':
      return secretStreamOverUdx
    case 'tcp':
      return secretStreamOverTcp
  }
  throw new Error(`no contender ${name}`)
}

async function obey(order: Order): Promise<Report> {
  if (order.type === 'usage') {
    const { user, system } = process.cpuUsage()
    return { type: 'usage', cpuMs: (user + system) / 1000 }
  }
  if (client === undefined) throw new Error('a server measures nothing')
  const times: number[] = []
  const count = order.type === 'ask' ? order.count : 1
  for (let i = 0; i < count; i++) times.push(await time(client, order))
  return { type: 'measured', times }
}

async function time(client: Client, order: Order): Promise<number> {
  const start = performance.now()
  if (order.type === 'ask') await client.ask?.(order.sizeBytes)
  else await client.transfer?.()
  return performance.now() - start
}

function report(message: Report): void {
  process.send?.(message)
}
