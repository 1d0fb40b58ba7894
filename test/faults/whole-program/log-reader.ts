import avsc from 'avsc'
import { Kafka, type KafkaMessage, logLevel } from 'kafkajs'
import type { RunFile } from '../../../src/run-file.ts'
import { until } from '../../processes.ts'

/** A record of the log as another program sees it: kafkajs's own consumer, the registry over HTTP, plain avsc. */
export interface LogRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  readonly id: string
  readonly source: string
  readonly type: string
  readonly time: string
  readonly data: Readonly<Record<string, unknown>>
  /** Its bytes are no event. */
  readonly isPoison?: boolean
}

const patienceMs = 240_000

type Addresses = Pick<RunFile, 'kafka' | 'registry'>

/**
 * From the beginning to where the topics end now, in the order of each partition. Of a log that is too long to be
 * held in memory, those of some keys.
 */
export const readLog = async (
  addresses: Addresses,
  wanted?: readonly string[],
  { mayHoldPoison = false, isKept = (_key: string): boolean => true } = {},
): Promise<LogRecord[]> => {
  const kafka = new Kafka({ brokers: addresses.kafka.split(','), logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  const topics = wanted ?? (await admin.listTopics()).filter((topic) => topic.startsWith('embudo.'))
  /** By partition: where it is to be read to, and the offset that comes next. */
  const ends = new Map<string, number>()
  const next = new Map<string, number>()
  for (const topic of topics) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic))
      if (Number(high) > Number(low)) ends.set(`${topic}:${partition}`, Number(high))
  }
  await admin.disconnect()
  if (ends.size === 0) return []

  const decode = decoder(addresses.registry)
  const read = async (value: Buffer): Promise<Pick<LogRecord, 'data' | 'isPoison'>> => {
    try {
      return { data: await decode(value), isPoison: false }
    } catch (error) {
      if (!mayHoldPoison) throw error
      return { data: {}, isPoison: true }
    }
  }
  const recordOf = async (
    topic: string,
    partition: number,
    { offset, key, value, headers = {} }: KafkaMessage,
  ): Promise<LogRecord> => {
    const text = Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, `${header}`]))
    return {
      topic,
      partition,
      offset: Number(offset),
      key: String(key),
      headers: text,
      id: text.ce_id ?? '',
      source: text.ce_source ?? '',
      type: text.ce_type ?? '',
      time: text.ce_time ?? '',
      ...(await read(value ?? Buffer.alloc(0))),
    }
  }
  const records: LogRecord[] = []
  const groupId = `reader-${process.pid}-${performance.now()}`
  const consumer = kafka.consumer({ groupId, sessionTimeout: 300_000 })
  await consumer.connect()
  await consumer.subscribe({ topics: [...topics], fromBeginning: true })
  const failures: unknown[] = []
  await consumer.run({
    eachBatch: async ({ batch: { topic, partition, messages } }) => {
      try {
        const kept = messages.filter(({ key }) => isKept(String(key)))
        const decoded = await Promise.all(kept.map((message) => recordOf(topic, partition, message)))
        // A consumer that has left its group for a moment is given again what it has not confirmed.
        const place = `${topic}:${partition}`
        const from = next.get(place) ?? 0
        for (const record of decoded) if (record.offset >= from) records.push(record)
        next.set(place, Math.max(from, Number(messages.at(-1)?.offset ?? -1) + 1))
      } catch (error) {
        failures.push(error)
      }
    },
  })
  try {
    await until(
      'each record has come',
      () => {
        if (failures.length > 0) throw failures[0]
        return [...ends].every(([place, end]) => (next.get(place) ?? 0) >= end)
      },
      patienceMs,
    )
  } finally {
    await consumer.disconnect()
  }
  return records
}

/** Confluent's framing: a zero byte, the schema's id in four bytes, Avro. */
export const decoder = (registry: string) => {
  const known = new Map<number, Promise<avsc.Type>>()
  return async (value: Buffer): Promise<Record<string, unknown>> => {
    if (value[0] !== 0) throw new Error(`the record begins with ${value[0]}`)
    const id = value.readInt32BE(1)
    let type = known.get(id)
    if (type === undefined) {
      type = schemaOf(registry, id)
      known.set(id, type)
    }
    const data = (await type).fromBuffer(value.subarray(5)) as Record<string, unknown>
    // Of all fields, only decimals are bytes.
    for (const [name, field] of Object.entries(data)) if (Buffer.isBuffer(field)) data[name] = unitsOf(field)
    return data
  }
}

const schemaOf = async (registry: string, id: number): Promise<avsc.Type> => {
  const response = await fetch(`${registry}/schemas/ids/${id}`)
  const { schema } = (await response.json()) as { schema: string }
  return avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema)
}

/** Money as a whole number of its smallest units, 10^-scale: two's complement, the highest byte first. */
const unitsOf = (bytes: Buffer): bigint =>
  bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`))
