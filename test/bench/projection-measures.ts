import { latencyMeasure } from './latency-measure.ts'
import { type Progress, startProcess, watchProgress } from './product.ts'
import { type Measure, median } from './report.ts'
import type { Setting } from './setting.ts'
import { runTask } from './task.ts'
import type { UsualJsonRowsInput } from './tasks/usual-json-rows.ts'
import type { UsualUpsertInput } from './tasks/usual-upsert.ts'

const profile = 'lead_profile'
const tables = 'events'

/** What the worker process does with a full log: each reader by itself, all at once, and a rebuild. */
export const projectionMeasures = async (setting: Setting): Promise<Measure[]> => {
  const { leads, parts, fill, progress, rounds, http } = setting
  const records = await fill()
  progress('the worker process catches up, all readers at once')
  const together = await withProgress(setting, (watch) =>
    catchUp(setting, watch, [profile, 'webinar_stats', tables], records, async () => {}),
  )

  const project: number[] = []
  const sink: number[] = []
  const replay: number[] = []
  const rebuild: number[] = []
  for (const _ of rounds('project, rebuild and sink', 120_000)) {
    await withProgress(setting, async (watch) => {
      await watch.forget(profile)
      const projected = await catchUp(setting, watch, [profile], records, async () => {
        const generation = await beginRebuild(http.address)
        replay.push((await watch.rates([profile], leads, records, generation)).get(profile)!)
        rebuild.push(await watch.rebuildRate(profile, generation, records))
      })
      project.push(projected.get(profile)!)
      await watch.forget(tables)
      await parts.emptyClickhouse()
      sink.push((await catchUp(setting, watch, [tables], records, async () => {})).get(tables)!)
    })
  }
  // One rebuild at a time: the one before must be live.
  const latency = await withProgress(setting, async (watch) => {
    let generation: number | undefined
    return await latencyMeasure(setting, async () => {
      if (generation !== undefined) await watch.rebuildRate(profile, generation, records)
      generation = await beginRebuild(http.address)
    })
  })
  const { upsertOne, upsertSix, jsonRows } = await baselines(setting, records)
  const count = `${records.toLocaleString('en')} events`
  const others = [
    { name: 'kafkajs eachMessage, one upsert each, 6 at once', perSecond: [upsertSix] },
    { name: 'kafkajs eachMessage, one upsert each', perSecond: [upsertOne] },
  ]
  return [
    latency,
    {
      name: `project into Postgres (${profile})`,
      product: project,
      aim: 30_000,
      note: count,
      baselines: others,
    },
    {
      name: `rebuild of ${profile}, replay`,
      product: replay,
      aim: 60_000,
      note: `${count}; ${Math.round(median(rebuild)).toLocaleString('en')}/s from the request until it is live`,
      baselines: others.slice(0, 1),
    },
    {
      name: 'sink into ClickHouse',
      product: sink,
      aim: 30_000,
      note: count,
      baselines: [{ name: 'kafkajs eachBatch, avsc, JSONEachRow', perSecond: jsonRows }],
    },
    ...[...together].map(([reader, rate]) => ({
      name: `${reader}, while all three run at once`,
      product: [rate],
      ...(reader === 'webinar_stats' ? {} : { aim: 30_000 }),
      baselines: [],
    })),
  ]
}

const withProgress = async <Result>(
  { parts }: Setting,
  work: (watch: Progress) => Promise<Result>,
): Promise<Result> => {
  await using watch = await watchProgress(parts)
  return await work(watch)
}

/** A worker process goes through the log; then, while it still runs, what comes after. */
const catchUp = async (
  setting: Setting,
  watch: Progress,
  readers: readonly string[],
  records: number,
  andThen: () => Promise<void>,
): Promise<ReadonlyMap<string, number>> => {
  const watching = watch.rates(readers, setting.leads, records)
  watching.catch(() => {})
  await using _worker = await startProcess('worker', setting.parts)
  const rates = await watching
  await andThen()
  return rates
}

const beginRebuild = async (address: string): Promise<number> => {
  const answer = await fetch(`${address}/api/projections/${profile}/rebuild`, { method: 'POST' })
  const { generation } = (await answer.json()) as { generation?: number }
  if (generation === undefined) throw new Error(`no rebuild was begun: ${answer.status}`)
  return generation
}

const baselines = async ({ size, brokers, leads, parts, progress, rounds }: Setting, records: number) => {
  const { databaseUrl, clickhouseUrl } = parts.addresses
  const upsert = async (atOnce: number): Promise<number> => {
    progress(`kafkajs eachMessage with an upsert each, ${atOnce} at once`)
    const input = { brokers, topic: leads, databaseUrl, atOnce, measureMs: size.measureMs }
    return (await runTask<UsualUpsertInput, { perSecond: number }>('usual-upsert', input)).perSecond
  }
  const jsonRows: number[] = []
  for (const _ of rounds('kafkajs eachBatch with JSONEachRow', 30_000)) {
    const input = { brokers, topic: leads, clickhouseUrl, records, measureMs: 10_000 }
    jsonRows.push(
      (await runTask<UsualJsonRowsInput, { perSecond: number }>('usual-json-rows', input)).perSecond,
    )
  }
  return { upsertOne: await upsert(1), upsertSix: await upsert(6), jsonRows }
}
