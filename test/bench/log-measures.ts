import { cpuNote } from './cpu.ts'
import { baselineOf, type Measure } from './report.ts'
import type { Setting } from './setting.ts'
import { runTask, type Speed } from './task.ts'
import type { AppendInput, AppendResult } from './tasks/append.ts'
import type { FetchInput } from './tasks/fetch.ts'
import type { UsualAppendInput } from './tasks/usual-append.ts'

/** Fetching reads what appending wrote. */
export const logMeasures = async (setting: Setting): Promise<Measure[]> => {
  const ours = await setting.newTopic('append')
  return [await appendMeasure(setting, ours), await fetchMeasure(setting, ours)]
}

const appendMeasure = async (setting: Setting, ours: string): Promise<Measure> => {
  const { size, brokers, schemaId, partitions, tools, newTopic, rounds } = setting
  const theirs = await newTopic('append-java')
  const kafkajs = await newTopic('append-kafkajs')
  const records = size.logRecords
  const ourResults: AppendResult[] = []
  const byDefault: number[] = []
  const tuned: number[] = []
  const usual = [false, true].map((isIdempotent) => ({ isIdempotent, results: [] as Speed[] }))
  let bytes = 0
  for (const _ of rounds('append', 75_000)) {
    const input = { brokers, topic: ours, partitions, schemaId, records }
    const result = await runTask<AppendInput, AppendResult>('append', input)
    ourResults.push(result)
    bytes = result.bytesPerRecord
    byDefault.push(await tools.produce(theirs, records, bytes))
    tuned.push(await tools.produce(theirs, records, bytes, ['linger.ms=10', 'batch.size=131072']))
    for (const { isIdempotent, results } of usual) {
      const same = { ...input, topic: kafkajs, isIdempotent, measureMs: size.measureMs }
      results.push(await runTask<UsualAppendInput, Speed>('usual-append', same))
    }
  }
  const [product, cpu] = [ourResults.map(({ perSecond }) => perSecond), cpuNote(ourResults)]
  return {
    name: 'append to the log',
    product,
    note: [`${bytes} bytes a record, acks=all, idempotent`, cpu].filter(Boolean).join('; '),
    baselines: [
      { name: 'Kafka ProducerPerformance, acks=all', perSecond: byDefault, aim: 0.8 },
      { name: 'the same, linger 10 ms, batch 128 KiB', perSecond: tuned },
      ...usual.map(({ isIdempotent, results }) =>
        baselineOf(
          isIdempotent ? 'the same, idempotent' : 'kafkajs sendBatch of 2,000, acks=all',
          results,
          4,
        ),
      ),
    ],
  }
}

const fetchMeasure = async ({ size, brokers, tools, rounds }: Setting, topic: string): Promise<Measure> => {
  const records = size.logRecords
  const results: Speed[] = []
  const java: number[] = []
  for (const _ of rounds('fetch', 30_000)) {
    results.push(await runTask<FetchInput, Speed>('fetch', { brokers, topic, records }))
    java.push(await tools.consume(topic, records))
  }
  return {
    name: 'fetch from the log',
    aim: 400_000,
    product: results.map(({ perSecond }) => perSecond),
    note: cpuNote(results),
    baselines: [{ name: 'Kafka ConsumerPerformance', perSecond: java }],
  }
}
