import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { Program } from '../../program.ts'
import { type Load, startLoad } from './load.ts'
import { expectExactlyOnce } from './oracle.ts'
import { seeded } from './seeded.ts'

/** Longer than a worker may be silent before others take its partitions. */
const standstillMs = 12_000

let program: Program
let load: Load
beforeAll(async () => {
  program = await Program.start()
  load = startLoad(program)
})
afterAll(async () => {
  await load.stop()
  await program[Symbol.asyncDispose]()
})

const untilMoreIsAccepted = async (events: number): Promise<void> => {
  const before = load.accepted
  await until('more events are accepted', () => load.accepted >= before + events)
}

describe('under load', { timeout: 240_000 }, () => {
  it('a worker that is killed with -9 is started again, and ingestion goes on meanwhile', async () => {
    const random = seeded(1)
    for (let kill = 0; kill < 3; kill++) {
      await untilMoreIsAccepted(100 + Math.floor(random() * 400))
      const { http } = program.run.pids
      await program.killRole('worker')
      expect(program.run.pids.http).toEqual(http)
    }
  })

  it('an http process that is killed with -9 is started again', async () => {
    const random = seeded(2)
    for (let kill = 0; kill < 2; kill++) {
      await untilMoreIsAccepted(100 + Math.floor(random() * 400))
      await program.killRole('http')
    }
    await untilMoreIsAccepted(100)
  })

  it('a worker that stood still for a while goes on', async () => {
    await program.signal('worker', 'SIGSTOP')
    await delay(standstillMs)
    await program.signal('worker', 'SIGCONT')
    await untilMoreIsAccepted(500)
  })

  it('loses nothing that was accepted and counts nothing twice', async () => {
    const accepted = await load.stop()
    const records = await expectExactlyOnce(program.run)
    const inLog = new Set(records.map(({ id }) => id))
    expect(accepted.filter((id) => !inLog.has(id))).toEqual([])
    expect(program.said).toMatch(/worker .*starting it again/)
  })
})
