import { openStorage } from './storage.ts'

/** A process that writes a hundred records and kills itself, or prints how many there are. */
const [path = '', mode] = process.argv.slice(2)
const storage = await openStorage(path)
if (mode === 'write') {
  for (let n = 0; n < 100; n++) await storage.write(`key/${n}`, Uint8Array.of(n))
  process.kill(process.pid, 'SIGKILL')
} else {
  const count = (await storage.load('')).length
  process.stdout.write(JSON.stringify({ setAside: storage.setAside ?? null, count }))
  await storage.close()
}
