import avsc from 'avsc'
import { Kafka, logLevel } from 'kafkajs'
import type { RunFile } from '../../../src/run-file.ts'

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
  const places = new Map<string, { next: number; readonly end: number }>()
  for (const topic of topics) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic))
      places.set(`${topic}:${partition}`, { next: Number(low), end: Number(high) })
  }
  await admin.disconnect()
  const missing = () => [...places.values()].reduce((sum, { next, end }) => sum + Math.max(0, end - next), 0)
  if (missing() === 0) return []

  const decode = decoder(addresses.registry)
  const read = async (value: Buffer): Promise<Pick<LogRecord, 'data' | 'isPoison'>> => {
    try {
      return { data: await decode(value), isPoison: false }
    } catch (error) {
      if (!mayHoldPoison) throw error
      return { data: {}, isPoison: true }
    }
  }
  const records: LogRecord[] = []
  const consumer = kafka.consumer({ groupId: `reader-${process.pid}-${performance.now()}` })
  await consumer.connect()
  await consumer.subscribe({ topics: [...topics], fromBeginning: true })
  const whole = Promise.withResolvers<void>()
  await consumer.run({
    eachBatch: async ({ batch: { topic, partition, messages } }) => {
      const place = places.get(`${topic}:${partition}`)!
      try {
        for (const { offset, key, value, headers = {} } of messages) {
          // A consumer that has lost its place in the group begins again where it began.
          if (Number(offset) < place.next) continue
          place.next = Number(offset) + 1
          if (!isKept(String(key))) continue
          const text = Object.fromEntries(
            Object.entries(headers).map(([name, header]) => [name, `${header}`]),
          )
          records.push({
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
          })
        }
      } catch (error) {
        return whole.reject(error)
      }
      if (missing() === 0) whole.resolve()
    },
  })
  const tooLong = setTimeout(() => whole.reject(new Error(`${missing()} records did not come`)), patienceMs)
  try {
    await whole.promise
  } finally {
    clearTimeout(tooLong)
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
