/**
 * The `latica` command: finds the command that a line names, and turns what goes wrong into a sentence
 * and an exit code. The commands are in files of their names; `main.ts` is the process.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { LimitError } from '../api/errors.ts'
import { UsageError } from '../core/errors.ts'
import { chat } from './chat.ts'
import { type Command, type Terminal, UsageFault } from './command.ts'
import { doctor } from './doctor.ts'
import { id } from './id.ts'
import { printerTo } from './printer.ts'
import { pub } from './pub.ts'
import { receive } from './receive.ts'
import { send } from './send.ts'
import { sub } from './sub.ts'
import { up } from './up.ts'

const COMMANDS: readonly Command[] = [up, chat, pub, sub, send, receive, doctor, id]

const HELP = `latica: peers find each other and talk, without servers.

Usage: latica <command> [options]

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(8)} ${summary}`).join('\n')}

Start here, in two terminals (or on two machines of one network):
  latica chat "a long secret"
  latica chat "a long secret"

On different networks, start a peer that others can reach, and give its ticket to the others:
  latica up --port 9777
  latica chat "a long secret" --peer latica://…

To somebody who is away, with any peer that stays in between:
  latica pub "a long secret" news "hello"
  latica sub "a long secret"

When peers do not find each other, this says what is in the way:
  latica doctor

latica <command> --help tells more. latica --version prints the version.`

/** Runs one command line. Resolves with the exit code: 0 done, 1 failed, 2 wrong usage, or the command's own. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...args] = argv
  if (name === '--help' || name === '-h' || name === 'help') {
    const asked = COMMANDS.find((command) => command.name === args[0])
    terminal.out(`${asked?.help ?? HELP}\n`)
    return 0
  }
  if (name === '--version') {
    terminal.out(`${version()}\n`)
    return 0
  }
  const command = COMMANDS.find((each) => each.name === name)
  const isJson = args.includes('--json')
  try {
    if (command === undefined) throw new UsageFault(unknownCommand(name))
    return await runCommand(command, args, terminal)
  } catch (error) {
    return fail(error, isJson, command, terminal)
  }
}

async function runCommand(
  command: Command,
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const { values, positionals } = parse(command, args)
  if (values['help'] === true) {
    terminal.out(`${command.help}\n`)
    return 0
  }
  const print = printerTo(terminal.out, values['json'] === true)
  return command.run({ values, positionals, print, terminal })
}

function parse(command: Command, args: readonly string[]) {
  try {
    const { options } = command
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    // Node's own sentence names the option that is wrong.
    throw new UsageFault(error instanceof Error ? error.message : String(error))
  }
}

function unknownCommand(name: string | undefined): string {
  const known = COMMANDS.map((command) => command.name).join(', ')
  if (name === undefined) return `A command is missing. There are: ${known}.`
  return `There is no command ${JSON.stringify(name)}. There are: ${known}.`
}

function fail(
  error: unknown,
  isJson: boolean,
  command: Command | undefined,
  terminal: Terminal,
): number {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
  const isUsage = [UsageFault, UsageError, LimitError].some((kind) => error instanceof kind)
  const said = error instanceof Error ? error.message : String(error)
  // The library names its own options.
  const message = said.replace(/^options\.(peer|port|host|storage)(s\[\d+\])?/, '--$1')
  const help = error instanceof Error && 'help' in error ? String(error.help) : undefined
  const helpCommand = command === undefined ? 'latica --help' : `latica ${command.name} --help`
  const more = isUsage ? `Try: ${helpCommand}` : help
  const print = printerTo(terminal.err, isJson)
  const isSaid = more !== undefined && message.includes(more)
  const line = more === undefined || isSaid ? message : `${message}\n${more}`
  print(
    'error',
    { code: isUsage ? (code ?? 'EUSAGE') : code, message, help: more },
    `latica: ${line}`,
  )
  return isUsage ? (command?.usageCode ?? 2) : 1
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  const { version }: { version: string } = JSON.parse(readFileSync(file, 'utf8'))
  return version
}
