import type { Measure } from './report.ts'
import type { Setting } from './setting.ts'
import { runTask } from './task.ts'
import type { AppendInput, AppendResult } from './tasks/append.ts'
import type { FetchInput } from './tasks/fetch.ts'

/** Fetching reads what appending wrote. */
export const logMeasures = async (setting: Setting): Promise<Measure[]> => {
  const ours = await setting.newTopic('append')
  return [await appendMeasure(setting, ours), await fetchMeasure(setting, ours)]
}

const appendMeasure = async (setting: Setting, ours: string): Promise<Measure> => {
  const { size, brokers, schemaId, partitions, tools, newTopic, rounds } = setting
  const theirs = await newTopic('append-java')
  const records = size.logRecords
  const product: number[] = []
  const byDefault: number[] = []
  const tuned: number[] = []
  let bytes = 0
  for (const _ of rounds('append', 50_000)) {
    const input = { brokers, topic: ours, partitions, schemaId, records }
    const { perSecond, bytesPerRecord } = await runTask<AppendInput, AppendResult>('append', input)
    bytes = bytesPerRecord
    product.push(perSecond)
    byDefault.push(await tools.produce(theirs, records, bytes))
    tuned.push(await tools.produce(theirs, records, bytes, ['linger.ms=10', 'batch.size=131072']))
  }
  return {
    name: 'append to the log',
    product,
    note: `${bytes} bytes a record, acks=all, idempotent`,
    baselines: [
      { name: 'Kafka ProducerPerformance, acks=all', perSecond: byDefault },
      { name: 'the same, linger 10 ms, batch 128 KiB', perSecond: tuned },
    ],
  }
}

const fetchMeasure = async ({ size, brokers, tools, rounds }: Setting, topic: string): Promise<Measure> => {
  const records = size.logRecords
  const product: number[] = []
  const java: number[] = []
  for (const _ of rounds('fetch', 30_000)) {
    product.push(
      (await runTask<FetchInput, { perSecond: number }>('fetch', { brokers, topic, records })).perSecond,
    )
    java.push(await tools.consume(topic, records))
  }
  return {
    name: 'fetch from the log',
    product,
    baselines: [{ name: 'Kafka ConsumerPerformance', perSecond: java }],
  }
}
