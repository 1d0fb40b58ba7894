import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until, untilGone } from '../../processes.ts'
import { Program } from '../../program.ts'
import { type Load, startLoad } from './load.ts'
import { expectExactlyOnce } from './oracle.ts'
import { seeded } from './seeded.ts'

/** Longer than a worker may be silent before others take its partitions. */
const standstillMs = 12_000

let program: Program
let load: Load
beforeAll(async () => {
  // The worker has ended before the others do, where all are told to at once.
  program = await Program.start({ EMBUDO_INGEST_PROCESSES: '2', EMBUDO_STOP_DELAY_MS: '2000' })
  load = startLoad(program)
})
afterAll(async () => {
  await load.stop().finally(() => program[Symbol.asyncDispose]())
})

const httpProcesses = async (): Promise<{ http: readonly number[]; address: string }> => {
  const status = JSON.parse(await program.ask('status', '--json')) as {
    http: string
    pids: { http: readonly number[] }
  }
  return { http: status.pids.http, address: status.http }
}

const untilMoreIsAccepted = async (events: number): Promise<void> => {
  const before = load.accepted
  await until('more events are accepted', () => load.accepted >= before + events)
}

describe('under load', { timeout: 600_000 }, () => {
  it('a worker that is killed with -9 is started again, and ingestion goes on meanwhile', async () => {
    const random = seeded(1)
    for (let kill = 0; kill < 3; kill++) {
      await untilMoreIsAccepted(100 + Math.floor(random() * 400))
      const { http } = program.run.pids
      await program.killRole('worker')
      expect(program.run.pids.http).toEqual(http)
    }
  })

  it('one of two http processes that is killed with -9 is started again, and the other goes on meanwhile', async () => {
    const random = seeded(2)
    for (const at of [0, 1]) {
      await untilMoreIsAccepted(100 + Math.floor(random() * 400))
      const { http, address } = await httpProcesses()
      expect(http).toHaveLength(2)
      process.kill(http[at] ?? 0, 'SIGKILL')
      await untilMoreIsAccepted(100)
      await until('there are two again, one of them new', async () => {
        const now = await httpProcesses()
        expect(now.address).toBe(address)
        return now.http[at] !== http[at] && now.http[1 - at] === http[1 - at]
      })
    }
  })

  it('all http processes that are killed with -9 at once are started again on their port', async () => {
    await untilMoreIsAccepted(100)
    const { address } = await httpProcesses()
    await program.killRole('http')
    expect((await httpProcesses()).address).toBe(address)
    await untilMoreIsAccepted(100)
  })

  it('a port that somebody else takes meanwhile is said to be, and taken again when it is free', async () => {
    const { address } = await httpProcesses()
    const port = Number(new URL(address).port)
    const other = createServer((socket) => socket.destroy())
    await until('the port is taken', async () => {
      // Again where they were faster: all of them have to be gone at once.
      await program.signal('http', 'SIGKILL')
      other.listen(port, '127.0.0.1')
      return await once(other, 'listening').then(
        () => true,
        () => false,
      )
    })
    await until('it is said', () => program.said.includes(`port ${port} on 127.0.0.1 is taken`))
    other.close()
    await untilMoreIsAccepted(100)
    expect((await httpProcesses()).address).toBe(address)
  })

  it('SIGTERM stops all of it with status 0 and what was accepted stays, also where each is told', async () => {
    await untilMoreIsAccepted(500)
    const before = program.said.length
    // It stands still until its supervisor has been told as well, which would start it again before that.
    await program.signal('worker', 'SIGSTOP')
    await program.signal('worker', 'SIGTERM')
    const stopped = program.stop()
    await until('it stops', () => program.said.slice(before).includes('stopping'))
    await program.signal('worker', 'SIGCONT')
    expect(await stopped).toBe(0)
    expect(program.said.slice(before)).not.toContain('starting it again')
    await untilGone(await program.processes(), 60_000)
    await program.start()
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
