import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { type Baseline, baselineOf } from './report.ts'
import type { Setting } from './setting.ts'
import { runTask, type Speed } from './task.ts'
import type { KafkaEngineInput } from './tasks/clickhouse-kafka-engine.ts'
import type { FetchInput } from './tasks/fetch.ts'
import type { UsualJsonRowsInput } from './tasks/usual-json-rows.ts'
import type { UsualUpsertInput } from './tasks/usual-upsert.ts'

/** What others do with the same topic. */
export interface ProjectionBaselines {
  /** What reading alone takes: no projection can be faster. */
  readonly fetching: Baseline
  readonly upserts: readonly Baseline[]
  readonly jsonRows: Baseline
  readonly kafkaEngine: readonly Baseline[]
}

export const projectionBaselines = async (
  { size, brokers, leads, parts, progress, rounds }: Setting,
  records: number,
): Promise<ProjectionBaselines> => {
  const { databaseUrl, clickhouseUrl, registryUrl } = parts.addresses
  const reading = { brokers, topic: leads }

  const fetching: Speed[] = []
  for (const _ of rounds('fetching alone', 15_000)) {
    fetching.push(await runTask<FetchInput, Speed>('fetch', { ...reading, records }))
  }

  const upsert = async (atOnce: number): Promise<Speed> => {
    progress(`kafkajs eachMessage with an upsert each, ${atOnce} at once`)
    const input = { ...reading, databaseUrl, atOnce, measureMs: size.measureMs }
    return await runTask<UsualUpsertInput, Speed>('usual-upsert', input)
  }
  const upserts = [
    baselineOf('kafkajs eachMessage, one upsert each, 6 at once', [await upsert(6)]),
    baselineOf('kafkajs eachMessage, one upsert each', [await upsert(1)]),
  ]

  const jsonRows: Speed[] = []
  const engines = [1, 2].map((consumers) => ({ consumers, results: [] as Speed[] }))
  for (const _ of rounds("kafkajs eachBatch with JSONEachRow, ClickHouse's Kafka engine", 35_000)) {
    const rows = { ...reading, clickhouseUrl, records, measureMs: 10_000 }
    jsonRows.push(await runTask<UsualJsonRowsInput, Speed>('usual-json-rows', rows))
    for (const { consumers, results } of engines) {
      const folder = await mkdtemp(join(parts.dataDir, 'kafka-engine-'))
      const engine = { ...reading, registryUrl, folder, consumers, records, measureMs: 30_000 }
      results.push(await runTask<KafkaEngineInput, Speed>('clickhouse-kafka-engine', engine))
    }
  }
  return {
    fetching: baselineOf('fetching alone: the limit', fetching),
    upserts,
    jsonRows: baselineOf('kafkajs eachBatch, avsc, JSONEachRow', jsonRows),
    kafkaEngine: engines.map(({ consumers, results }) =>
      baselineOf(`ClickHouse's Kafka engine, consumers: ${consumers}`, results, 1.3),
    ),
  }
}
