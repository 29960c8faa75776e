import type { Host } from './namespaces.fixture.ts'

/** What happens to packets between two addresses where all cables of the lab's internet end. */

const TABLE = 'ip backbone'

/** Nothing passes between the two any more, either way. What each says to others does. */
export function sever(internet: Host, a: string, b: string): void {
  load(internet, [drop(a, b), drop(b, a)])
}

/** Begins to count what passes between the two, and all that comes from or goes to the first. */
export function count(internet: Host, a: string, b: string): void {
  load(internet, [
    `ip saddr ${a} ip daddr ${b} counter comment "between"`,
    `ip saddr ${b} ip daddr ${a} counter comment "between"`,
    `ip saddr ${a} counter comment "of the first"`,
    `ip daddr ${a} counter comment "of the first"`,
  ])
}

export interface Traffic {
  readonly datagrams: number
  /** Of IP packets. */
  readonly bytes: number
}

/** What was counted so far. */
export function counted(internet: Host): { readonly between: Traffic; readonly first: Traffic } {
  const text = internet.run(['nft', 'list', 'table', ...TABLE.split(' ')])
  const sum = (comment: string) => {
    const lines = text.split('\n').filter((line) => line.includes(`"${comment}"`))
    const total = (name: string) =>
      lines.reduce((all, line) => all + Number(new RegExp(`${name} (\\d+)`).exec(line)?.[1]), 0)
    return { datagrams: total('packets'), bytes: total('bytes') }
  }
  return { between: sum('between'), first: sum('of the first') }
}

/** As it was: everything passes, uncounted. */
export function restore(internet: Host): void {
  internet.run(['nft', '-f', '-'], `table ${TABLE}\ndelete table ${TABLE}\n`)
}

function drop(from: string, to: string): string {
  return `ip saddr ${from} ip daddr ${to} drop`
}

function load(internet: Host, rules: readonly string[]): void {
  const table = `table ${TABLE}
delete table ${TABLE}
table ${TABLE} {
  chain forward { type filter hook forward priority filter;
    ${rules.join('\n    ')}
  }
}
`
  internet.run(['nft', '-f', '-'], table)
}
