import { type Progress, startProcess, watchProgress } from './product.ts'
import type { Measure } from './report.ts'
import type { Setting } from './setting.ts'
import { runTask } from './task.ts'
import type { UsualJsonRowsInput } from './tasks/usual-json-rows.ts'
import type { UsualUpsertInput } from './tasks/usual-upsert.ts'

const profile = 'lead_profile'
const tables = 'events'

/** What the worker process does with a full log: each reader by itself, all at once, and a rebuild. */
export const projectionMeasures = async (setting: Setting): Promise<Measure[]> => {
  const { size, leads, parts, fill, progress, http } = setting
  const records = await fill()
  progress('the worker process catches up, all readers at once')
  const together = await withWorker(setting, (watch) =>
    watch.rates([profile, 'webinar_stats', tables], leads, records),
  )

  const project: number[] = []
  const sink: number[] = []
  const rebuild: number[] = []
  for (let round = 1; round <= size.rounds; round++) {
    progress(`project, rebuild and sink, round ${round} of ${size.rounds}`)
    await withProgress(setting, (watch) => watch.forget(profile))
    await withWorker(setting, async (watch) => {
      project.push((await watch.rates([profile], leads, records)).get(profile)!)
      const answer = await fetch(`${http.address}/api/projections/${profile}/rebuild`, { method: 'POST' })
      const { generation } = (await answer.json()) as { generation?: number }
      if (generation === undefined) throw new Error(`no rebuild was begun: ${answer.status}`)
      rebuild.push(await watch.rebuildRate(profile, generation, records))
    })
    await withProgress(setting, (watch) => watch.forget(tables))
    await parts.emptyClickhouse()
    await withWorker(setting, async (watch) => {
      sink.push((await watch.rates([tables], leads, records)).get(tables)!)
    })
  }
  const { upsertOne, upsertSix, jsonRows } = await baselines(setting, records)
  const count = `${records.toLocaleString('en')} events`
  const others = [
    { name: 'kafkajs eachMessage, one upsert each, 6 at once', perSecond: [upsertSix] },
    { name: 'kafkajs eachMessage, one upsert each', perSecond: [upsertOne] },
  ]
  return [
    {
      name: `project into Postgres (${profile})`,
      product: project,
      aim: 30_000,
      note: count,
      baselines: others,
    },
    {
      name: `rebuild of ${profile}, until it is live`,
      product: rebuild,
      aim: 60_000,
      note: count,
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

const withWorker = <Result>(setting: Setting, work: (watch: Progress) => Promise<Result>): Promise<Result> =>
  withProgress(setting, async (watch) => {
    await using _worker = await startProcess('worker', setting.parts)
    return await work(watch)
  })

const baselines = async ({ size, brokers, leads, parts, progress }: Setting, records: number) => {
  const { databaseUrl, clickhouseUrl } = parts.addresses
  const upsert = async (atOnce: number): Promise<number> => {
    progress(`kafkajs eachMessage with an upsert each, ${atOnce} at once`)
    const input = { brokers, topic: leads, databaseUrl, atOnce, measureMs: size.measureMs }
    return (await runTask<UsualUpsertInput, { perSecond: number }>('usual-upsert', input)).perSecond
  }
  const jsonRows: number[] = []
  for (let round = 1; round <= size.rounds; round++) {
    progress(`kafkajs eachBatch with JSONEachRow, round ${round} of ${size.rounds}`)
    const input = { brokers, topic: leads, clickhouseUrl, records, measureMs: 10_000 }
    jsonRows.push(
      (await runTask<UsualJsonRowsInput, { perSecond: number }>('usual-json-rows', input)).perSecond,
    )
  }
  return { upsertOne: await upsert(1), upsertSix: await upsert(6), jsonRows }
}
