import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunFile } from '../../../src/run-file.ts'
import { until, untilGone } from '../../processes.ts'
import { Program } from '../../program.ts'
import { Ledger } from './ledger.ts'
import { expectExactlyOnce } from './oracle.ts'
import { seeded } from './seeded.ts'
import { keysOf, type Senders, startSenders } from './senders.ts'

const parts = ['kafka', 'registry', 'postgres', 'clickhouse'] as const
const none = { senders: 0, keys: 0, rounds: 0 }
const shapes = { single: { senders: 2, keys: 5, rounds: 1 }, array: none, lines: none }

let program: Program
let ledger: Ledger
let sending: Senders
beforeAll(async () => {
  // So that callers are told while Kafka is away, rather than wait until it is there again.
  program = await Program.start({ EMBUDO_APPEND_TIMEOUT_MS: '1000' })
  ledger = new Ledger('parts-kill', keysOf(shapes))
  sending = startSenders(program, ledger, { shapes, random: seeded(5), repeats: 0 })
})
afterAll(async () => {
  sending[Symbol.dispose]()
  await program[Symbol.asyncDispose]()
})

const run = async (): Promise<RunFile> => {
  const found = await program.readRunFile()
  if (found === undefined) throw new Error(`embudo has ended:\n${program.said.slice(-4_000)}`)
  return found
}

/** All but the part itself is as before, addresses and processes. */
const untilThereAgain = async (part: (typeof parts)[number], before: RunFile): Promise<void> => {
  await until(`${part} has been started again`, async () => {
    const { pids } = await run()
    return !pids[part]?.some((pid) => before.pids[part]?.includes(pid))
  })
  const now = await run()
  expect(now).toEqual({ ...before, pids: { ...before.pids, [part]: now.pids[part] } })
  const recorded = JSON.parse(await readFile(join(program.dataDir, 'processes.json'), 'utf8'))
  const pids = recorded.map(({ pid }: { pid: number }) => pid)
  expect(new Set(pids)).toEqual(new Set(parts.flatMap((name) => now.pids[name] ?? [])))
}

describe('an embedded part that ends', { timeout: 400_000 }, () => {
  it.each(parts)('%s, killed with -9, is started again at its address and all else goes on', async (part) => {
    await sending.untilFurther(50)
    const before = await run()
    process.kill(before.pids[part]?.at(-1) ?? 0, 'SIGKILL')
    await untilThereAgain(part, before)
    await sending.untilFurther(50)
    expect(program.said).toMatch(new RegExp(`${part} +ended by itself \\(status 137\\), starting it again`))
  })

  it('is ended first where its tether alone was killed', async () => {
    const before = await run()
    process.kill(before.pids.clickhouse?.[0] ?? 0, 'SIGKILL')
    await untilThereAgain('clickhouse', before)
    await sending.untilFurther(50)
  })

  it('loses nothing that was acknowledged, and callers were told to come again', async () => {
    await sending.stop()
    expect(ledger.answers(503)).toBeGreaterThan(0)
    expect(ledger.unanswered).toBe(0)
    ledger.expectIn(await expectExactlyOnce(program.run))
  })

  it('leaves nothing running after a stop', async () => {
    await program.processes()
    expect(await program.stop()).toBe(0)
    await untilGone(await program.processes(), 60_000)
  })
})
