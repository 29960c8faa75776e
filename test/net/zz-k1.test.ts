import { test } from 'node:test'
import { MeetingPlace } from './nat-matrix.fixture.ts'
import { FAULTS, SENDERS, Trial } from './nat-scenarios.fixture.ts'
const only = process.env['F']
for (const [i, fault] of FAULTS.entries()) if (only === undefined || only === String(i))
  test(fault.name, async (t) => {
    const place = new MeetingPlace(t)
    await place.open(Number(process.env['P'] ?? 4))
    const trial = new Trial(place, fault)
    for (let n = 0; n < Number(process.env['N'] ?? 1); n++) for (const senders of SENDERS) {
      try { console.log(fault.name, senders, await trial.silenceMs(senders)) } catch (e) { console.log(fault.name, senders, e); throw e }
    }
  })
