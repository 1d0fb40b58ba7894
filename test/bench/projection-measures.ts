import { latencyMeasure } from './latency-measure.ts'
import { median } from './median.ts'
import { profileText } from './profile.ts'
import { type Progress, watchProgress } from './progress.ts'
import { projectionBaselines } from './projection-baselines.ts'
import { readableMeasure } from './readable-measure.ts'
import type { Baseline, Measure } from './report.ts'
import type { Setting } from './setting.ts'
import { cpuNoteOf, memoryLimit } from './worker-cost.ts'
import { catchUp, followPass, type Pass } from './worker-run.ts'

const profile = 'lead_profile'
const tables = 'events'
const all = [profile, 'webinar_stats', tables] as const

/** What the worker process does with a full log: all readers at once, each by itself, and a rebuild. */
export const projectionMeasures = async (setting: Setting): Promise<Measure[]> => {
  const records = await setting.fill()
  await using watch = await watchProgress(setting.parts)
  const passes = await projectionPasses(setting, watch, records)
  let rebuilding: number | undefined
  const untilRebuilt = async (): Promise<void> => {
    if (rebuilding !== undefined) await watch.liveAfterMs(profile, rebuilding)
  }
  const besideRebuild = await latencyMeasure(setting, async () => {
    // One rebuild at a time.
    await untilRebuilt()
    rebuilding = await beginRebuild(setting.http.address)
  })
  const readable = await readableMeasure(setting, profile, async () => {
    await untilRebuilt()
    await watch.reached(all, setting.leads, records)
  })
  const { fetching, upserts, jsonRows, kafkaEngine } = await projectionBaselines(setting, records)
  const count = `${records.toLocaleString('en')} events`
  const measure = (
    name: string,
    of: readonly Pass[],
    baselines: readonly Baseline[],
    aim?: number,
  ): Measure => ({
    name,
    product: of.map(({ perSecond }) => perSecond),
    aim,
    note: [count, cpuNoteOf(of)].filter(Boolean).join('; '),
    baselines: [...baselines, fetching],
    limits: [memoryLimit(of)],
  })
  const { together, live, rebuild, sink } = passes
  const rebuiltPerSecond = records / (median(passes.liveAfterMs) / 1000)
  return [
    besideRebuild,
    measure(`project into Postgres, ${profile}`, live, upserts, 80_000),
    measure(`rebuild of ${profile}, beside the live one`, rebuild, upserts.slice(0, 1), 200_000),
    { name: 'the same, from the request until it is live', product: [rebuiltPerSecond], baselines: [] },
    measure('write into ClickHouse', sink, [...kafkaEngine, jsonRows], 200_000),
    {
      ...measure('all three at once', together, []),
      note: [speedNotes(together), cpuNoteOf(together)].filter(Boolean).join('; '),
    },
    ...readable,
  ]
}

/** Where the worker's main thread spends its time, in the same passes. */
export const workerProfiles = async (setting: Setting): Promise<string> => {
  const records = await setting.fill()
  await using watch = await watchProgress(setting.parts)
  const { together, live, rebuild, sink } = await projectionPasses(setting, watch, records)
  return Object.entries({ together, live, rebuild, sink })
    .map(([name, [pass]]) => `${name}\n${profileText(pass!.profile!, records)}`)
    .join('\n\n')
}

interface ProjectionPasses {
  readonly together: readonly Pass[]
  readonly live: readonly Pass[]
  readonly rebuild: readonly Pass[]
  readonly sink: readonly Pass[]
  /** From the request for a rebuild until what it made is read. */
  readonly liveAfterMs: readonly number[]
}

const projectionPasses = async (
  setting: Setting,
  watch: Progress,
  records: number,
): Promise<ProjectionPasses> => {
  const passes = {
    together: [] as Pass[],
    live: [] as Pass[],
    rebuild: [] as Pass[],
    sink: [] as Pass[],
    liveAfterMs: [] as number[],
  }
  const forgetTables = async (): Promise<void> => {
    await watch.forget(tables)
    await setting.parts.emptyClickhouse()
  }
  for (const _ of setting.rounds('all projections at once, then each by itself, and a rebuild', 110_000)) {
    // What a reader has read it reads no more: the others stand at the end meanwhile.
    for (const reader of [profile, 'webinar_stats']) await watch.forget(reader)
    await forgetTables()
    passes.together.push(await catchUp(setting, watch, { readers: all, records }))

    await watch.forget(profile)
    const pass = await catchUp(setting, watch, { readers: [profile], records }, async (worker) => {
      const generation = await beginRebuild(setting.http.address)
      passes.rebuild.push(
        await followPass(setting, watch, worker, { readers: [profile], records, generation }),
      )
      passes.liveAfterMs.push(await watch.liveAfterMs(profile, generation))
    })
    passes.live.push(pass)

    await forgetTables()
    passes.sink.push(await catchUp(setting, watch, { readers: [tables], records }))
  }
  return passes
}

const beginRebuild = async (address: string): Promise<number> => {
  const answer = await fetch(`${address}/api/projections/${profile}/rebuild`, { method: 'POST' })
  const { generation } = (await answer.json()) as { generation?: number }
  if (generation === undefined) throw new Error(`no rebuild was begun: ${answer.status}`)
  return generation
}

/** "lead_profile 90,000/s, webinar_stats 95,000/s": all but the slowest are faster than the whole. */
const speedNotes = (passes: readonly Pass[]): string =>
  all
    .map((reader) => {
      const perSecond = Math.round(median(passes.map(({ perSecondOf }) => perSecondOf.get(reader)!)))
      return `${reader} ${perSecond.toLocaleString('en')}/s`
    })
    .join(', ')
