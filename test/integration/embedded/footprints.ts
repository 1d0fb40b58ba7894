import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import type { EmbeddedAddresses } from '../../../src/embedded/start.ts'
import { clickhouseClient } from '../../clickhouse-client.ts'

const name = 'footprints'

/** Leaves one more mark in every part; each is acknowledged when this returns. */
export async function leaveFootprint(addresses: EmbeddedAddresses, mark: number): Promise<void> {
  const kafka = clientOf(addresses)
  const admin = kafka.admin()
  await admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }], timeout: 240_000 })
  await admin.disconnect()
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  await producer.send({ topic: name, acks: -1, messages: [{ value: String(mark) }] })
  await producer.disconnect()

  const schema = JSON.stringify({ type: 'enum', name: `mark${mark}`, symbols: ['A'] })
  const response = await fetch(`${addresses.registryUrl}/subjects/${name}-${mark}/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema }),
  })
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)

  await withPostgres(addresses, async (client) => {
    await client.query(`CREATE TABLE IF NOT EXISTS ${name} (mark int)`)
    await client.query(`INSERT INTO ${name} VALUES ($1)`, [mark])
  })

  const clickhouse = clickhouseClient({ url: addresses.clickhouseUrl })
  const table = `CREATE TABLE IF NOT EXISTS ${name} (mark Int32) ENGINE = MergeTree ORDER BY mark`
  await clickhouse.command({ query: table })
  await clickhouse.insert({ table: name, values: [{ mark }], format: 'JSONEachRow' })
  await clickhouse.close()
}

/** The marks that each part still has. */
export async function findFootprints(addresses: EmbeddedAddresses): Promise<Record<string, number[]>> {
  const clickhouse = clickhouseClient({ url: addresses.clickhouseUrl })
  const rows = await clickhouse.query({
    query: `SELECT mark FROM ${name} ORDER BY mark`,
    format: 'JSONEachRow',
  })
  const clickhouseMarks = (await rows.json<{ mark: number }>()).map(({ mark }) => mark)
  await clickhouse.close()
  const subjects = (await (await fetch(`${addresses.registryUrl}/subjects`)).json()) as string[]
  return {
    kafka: await readTopic(addresses),
    registry: subjects.map((subject) => Number(subject.split('-')[1])).toSorted((a, b) => a - b),
    postgres: await withPostgres(addresses, async (client) => {
      const found = await client.query<{ mark: number }>(`SELECT mark FROM ${name} ORDER BY mark`)
      return found.rows.map(({ mark }) => mark)
    }),
    clickhouse: clickhouseMarks,
  }
}

async function readTopic(addresses: EmbeddedAddresses): Promise<number[]> {
  const kafka = clientOf(addresses)
  const admin = kafka.admin()
  const [offsets] = await admin.fetchTopicOffsets(name)
  await admin.disconnect()
  // By offset: one that has lost its place in the group reads again.
  const marks = new Map<string, number>()
  const consumer = kafka.consumer({ groupId: `${name}-${process.pid}-${performance.now()}` })
  await consumer.subscribe({ topic: name, fromBeginning: true })
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: async ({ message }) => {
        marks.set(message.offset, Number(message.value))
        if (marks.size === Number(offsets?.high)) resolve()
      },
    })
  })
  await consumer.disconnect()
  return [...marks.values()]
}

const clientOf = ({ kafkaBrokers }: EmbeddedAddresses) =>
  new Kafka({ brokers: kafkaBrokers.split(','), logLevel: logLevel.NOTHING, requestTimeout: 240_000 })

async function withPostgres<T>(
  addresses: EmbeddedAddresses,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: addresses.databaseUrl })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
