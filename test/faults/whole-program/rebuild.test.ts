import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { finished, Program } from '../../program.ts'
import { ask, mayPass, rebuild } from './asking.ts'
import { withoutDuplicates } from './duplicates.ts'
import { extent } from './extent.ts'
import { funnelEvent, ndjson, startLoad } from './load.ts'
import { readLog } from './log-reader.ts'
import { expectProfiles, projections, untilQuiet } from './oracle.ts'
import { Stores } from './stores.ts'

const events = extent({ full: 2_000_000, short: 50_000 })
/** So slow that there is time for two kills on the way, for as long as they may take. */
const rate = extent({ full: 5_000, short: 100 })
/** Each process lets a batch through at once, of three times as many. */
const batchRecords = extent({ full: 2_000, short: 200 })
/** A naive fold holds the log in memory. */
const isLookedAt = extent({ full: (lead: string) => lead.endsWith('7'), short: () => true })
const patienceMs = extent({ full: 1_800_000, short: 600_000 })
const leads = events / 20

let program: Program
let stores: Stores
beforeAll(async () => {
  program = await Program.start({ EMBUDO_BATCH_RECORDS: String(batchRecords) })
  stores = new Stores(program.run)
  for (let n = 0; n < events; n += 10_000) {
    const body = ndjson(Array.from({ length: 10_000 }, (_, i) => funnelEvent(n + i, leads)))
    const headers = { 'content-type': 'application/x-ndjson' }
    const response = await fetch(`${program.run.http}/api/events`, { method: 'POST', headers, body })
    expect(await response.json()).toMatchObject({ accepted: 10_000 })
  }
  await untilQuiet(program.run, stores, patienceMs)
}, patienceMs)
afterAll(async () => {
  await stores[Symbol.asyncDispose]()
  await program[Symbol.asyncDispose]()
})

it(
  `a rebuild on ${events} events is not noticed by writers and readers`,
  async () => {
    // New leads as well as old ones, so that a model that is not complete would show.
    const load = startLoad(program, { leads: leads + 500, batch: 20, everyMs: 10, from: events })
    const readers = startReaders()
    const percents: number[] = []
    const watching = new AbortController()
    const watch = watchProgress(percents, watching.signal)

    const rebuilding = finished(
      program.command('projections', 'rebuild', 'lead_profile', '--max-per-second', String(rate)),
    )
    for (const kill of [1, 2]) {
      const before = percents.at(-1) ?? 0
      await until(
        `it is on its way for kill ${kill}`,
        () => (percents.at(-1) ?? 0) > before && (percents.at(-1) ?? 0) < 90,
        patienceMs,
      )
      await program.killRole('worker')
    }
    await ask(program, ['projections', 'resume', 'lead_profile', '--unlimited'])
    const rebuilt = await rebuilding
    expect(`${rebuilt.status} ${rebuilt.stderr}`).toMatch(/^0 lead_profile {2}(replaying|catching up) \d+%/)
    expect(rebuilt.stdout).toContain('lead_profile is rebuilt')
    expect(await generations()).toEqual(['1 previous', '2 live'])

    // The one that was read before is fed on: it may be compared and gone back to, over and over.
    for (const [what, states] of [
      ['rollback', ['1 live', '2 previous']],
      ['switch', ['1 previous', '2 live']],
    ] as const) {
      const verified = await ask(program, ['projections', 'verify', 'lead_profile', '--json'])
      expect(JSON.parse(verified)).toMatchObject({ differences: 0, examples: [] })
      await onceThere(what)
      expect(await generations()).toEqual(states)
    }

    await rebuild(program, 'lead_profile')
    expect((await generations()).at(-1)).toBe('3 live')
    watching.abort()
    await watch
    await load.stop()
    const { failures, reads } = await readers.stop()

    expect(failures.slice(0, 3)).toEqual([])
    expect(Math.min(...Object.values(reads))).toBeGreaterThan(10)
    await untilQuiet(program.run, stores, patienceMs)
    const log = await readLog(program.run, ['embudo.leads'], { isKept: isLookedAt })
    await expectProfiles(withoutDuplicates(log), stores, isLookedAt)
    expect(await ask(program, ['projections', 'verify', 'lead_profile'])).toMatch(/^equal/)
  },
  patienceMs,
)

/** As an operator who is told that the other generation is not quite there, and asks again. */
const onceThere = (what: 'rollback' | 'switch'): Promise<void> =>
  until(`${what} is done`, async () => {
    const { status, stderr } = await finished(program.command('projections', what, 'lead_profile'))
    const isNotYet = stderr.includes('lacks records that') || mayPass.test(stderr)
    if (status !== 0 && !isNotYet) throw new Error(`${status}: ${stderr}`)
    return status === 0
  })

const generations = async (): Promise<string[]> => {
  const rows = await stores.postgres(
    "select generation, state from embudo.generations where dropped_at is null and projection = 'lead_profile' order by 1",
  )
  return rows.map(({ generation, state }) => `${generation} ${state}`)
}

/**
 * Each of them over and over: a read that fails, or that sees less than one before it, is a failure. One that is told
 * that a store is away for a moment is asked again.
 */
const startReaders = () => {
  const failures: string[] = []
  const reads: Record<string, number> = {}
  const stopping = new AbortController()
  const repeat = async (name: string, read: () => Promise<number>): Promise<void> => {
    for (let most = 0; !stopping.signal.aborted; await delay(5)) {
      try {
        const seen = await read()
        if (seen < most) failures.push(`${name}: ${seen} after ${most}`)
        most = Math.max(most, seen)
      } catch (error) {
        if (String(error).includes('store_unavailable')) continue
        failures.push(`${name}: ${error}`)
      }
      reads[name] = (reads[name] ?? 0) + 1
    }
  }
  const get = async (path: string): Promise<Record<string, unknown>> => {
    const response = await fetch(`${program.run.http}${path}`)
    const answer = (await response.json()) as Record<string, unknown>
    if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(answer)}`)
    return answer
  }
  const running = [
    repeat('a lead', async () => {
      const { attendanceSeconds, contentConsumed, conversions } = await get('/api/leads/L-7')
      return Number(attendanceSeconds) + Number(contentConsumed) + Number(conversions)
    }),
    repeat('a page', async () => {
      const { items } = await get('/api/read-models/lead_profile?limit=100&sort=lead_id')
      return (items as unknown[]).length
    }),
    repeat('rows by SQL', async () =>
      Number((await stores.postgres('select count(*) from lead_profile'))[0]?.count),
    ),
    repeat('events by SQL', async () =>
      Number((await stores.postgres('select sum(events) from lead_profile'))[0]?.sum),
    ),
  ]
  return {
    async stop() {
      stopping.abort()
      await Promise.all(running)
      return { failures, reads }
    },
  }
}

/** As the list of projections tells it. */
const watchProgress = async (percents: number[], signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    const items = await projections(program.run)
    const percent = items?.find(({ name }) => name === 'lead_profile')?.rebuild?.percent
    if (percent !== undefined) percents.push(percent)
    await delay(50)
  }
}
