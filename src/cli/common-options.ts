import { Encryption } from '../api/encryption.ts'
import type { NetworkOptions } from '../api/options.ts'
import { type Command, type OptionValues, UsageFault } from './command.ts'

/** The options that every command understands, and the peer they describe. */
export const COMMON_OPTIONS: Command['options'] = {
  port: { type: 'string' },
  host: { type: 'string' },
  peer: { type: 'string', multiple: true },
  storage: { type: 'string' },
  'no-storage': { type: 'boolean' },
  'no-lan': { type: 'boolean' },
  'no-port-mapping': { type: 'boolean' },
  cluster: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
}

export const COMMON_HELP = `  --peer <address>   a peer to meet first: host:port or a ticket; may be repeated
  --port <number>    UDP port (default: that of the last time, or any)
  --host <ip>        the one local address to use (default: all)
  --no-lan           neither look for peers on the local network nor be found there
  --no-port-mapping  do not ask the router to forward a port to this peer
  --storage <dir>    where to keep the identity and the peers met (default: a folder of yours)
  --no-storage       keep nothing: a fresh identity each time
  --cluster <name>   the app's name; peers of every name help each other (default: latica)
  --json             one JSON object a line, for programmes
  -h, --help         this text`

export async function networkOptions(values: OptionValues): Promise<NetworkOptions> {
  const port = numberOf(values, 'port')
  const host = textOf(values, 'host')
  const folder = textOf(values, 'storage')
  if (folder !== undefined && values['no-storage'] === true)
    throw new UsageFault('--storage and --no-storage contradict each other: give one of them.')
  const storage = values['no-storage'] === true ? false : folder
  const peers = values['peer']
  return {
    clusterId: await Encryption.createClusterId(textOf(values, 'cluster') ?? 'latica'),
    lan: values['no-lan'] !== true,
    portMapping: values['no-port-mapping'] !== true,
    peers: Array.isArray(peers) ? peers.map(String) : [],
    ...(port === undefined ? {} : { port }),
    ...(host === undefined ? {} : { host }),
    ...(storage === undefined ? {} : { storage }),
  }
}

export function textOf(values: OptionValues, name: string): string | undefined {
  const value = values[name]
  if (value === '') throw new UsageFault(`--${name} needs a value that is not empty.`)
  return typeof value === 'string' ? value : undefined
}

export function numberOf(values: OptionValues, name: string): number | undefined {
  const text = textOf(values, name)
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text))
    throw new UsageFault(`--${name} needs a whole number, got ${JSON.stringify(text)}.`)
  return Number(text)
}
