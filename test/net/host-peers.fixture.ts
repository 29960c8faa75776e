import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Host } from './namespaces.fixture.ts'
import { Process } from './process.fixture.ts'
import { Workspace } from './workspace.fixture.ts'

/** Starts peers on hosts; each name keeps its storage between its runs. */
export function peersOnHosts(t: TestContext): (host: Host, options?: object) => Promise<Process> {
  const workspace = new Workspace(t, 'linked')
  const program = workspace.program(new URL('peer.fixture.ts', import.meta.url))
  return async (host, options = {}) => {
    const given = { storage: join(workspace.path, host.name), ...options }
    const words = [process.execPath, program, JSON.stringify(given)]
    const peer = new Process(t, host.name, [...host.prefix, ...words], {
      env: workspace.environment(host.name),
    })
    await peer.tells('up')
    return peer
  }
}

/** Each says something to the other alone, and publishes something. */
export async function talk(
  one: Process,
  other: Process,
  text: string,
  way = 'direct',
): Promise<void> {
  const [saidByOne, saidByOther] = [`${text} says ${one.name}`, `${text} says ${other.name}`]
  const published = `${text} for all`
  const heard = [
    one.tells('text', { text: saidByOther }),
    other.tells('text', { text: saidByOne }),
    other.tells('text', { text: published }),
  ]
  await one.ask('say', 'said', { text: saidByOne })
  await other.ask('say', 'said', { text: saidByOther })
  await one.ask('publish', 'published', { text: published })
  for (const { via } of await Promise.all(heard)) assert.equal(via, way)
}
