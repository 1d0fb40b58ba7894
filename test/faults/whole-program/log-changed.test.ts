import { randomUUID } from 'node:crypto'
import { createClient } from '@clickhouse/client'
import { Kafka, logLevel } from 'kafkajs'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { until } from '../../processes.ts'
import { funnelEvent, ndjson } from './load.ts'
import { projections } from './oracle.ts'
import { Role } from './role.ts'
import { Stores } from './stores.ts'

const name = `changed_${randomUUID().replaceAll('-', '').slice(0, 12)}`
const topic = `${name}.leads`
const partitions = 6
const readers = ['events', 'lead_profile', 'webinar_stats']
const batch = 120

const parts = inject('parts')
const withDatabase = (address: string): string => {
  const url = new URL(address)
  url.pathname = `/${name}`
  return url.href
}
const run = { postgres: withDatabase(parts.databaseUrl), clickhouse: withDatabase(parts.clickhouseUrl) }
const settings = {
  KAFKA_BROKERS: parts.kafkaBrokers,
  SCHEMA_REGISTRY_URL: parts.registryUrl,
  DATABASE_URL: run.postgres,
  CLICKHOUSE_URL: run.clickhouse,
  EMBUDO_TOPIC_PREFIX: `${name}.`,
  EMBUDO_LOG_LEVEL: 'warn',
}
const kafka = new Kafka({ brokers: parts.kafkaBrokers.split(','), logLevel: logLevel.NOTHING })
const admin = kafka.admin()
const postgres = new Client({ connectionString: parts.databaseUrl })
const clickhouse = createClient({ url: parts.clickhouseUrl })

let front: Role
let worker: Role
let stores: Stores
let sent = 0

beforeAll(async () => {
  await Promise.all([admin.connect(), postgres.connect()])
})
afterAll(async () => {
  const { topics } = await admin.fetchTopicMetadata()
  const mine = topics.map((one) => one.name).filter((one) => one.startsWith(name))
  await admin.deleteTopics({ topics: mine })
  await Promise.all([admin.disconnect(), postgres.end(), clickhouse.close()])
})

/** Each case begins with a log that every projection has read to its end. */
beforeEach(async () => {
  await postgres.query(`create database ${name}`)
  await clickhouse.command({ query: `CREATE DATABASE ${name}` })
  front = await Role.start('ingest,query', settings)
  worker = await Role.start('project', settings)
  stores = new Stores(run)
  sent = 0
  await send()
  await until('it has all been read', async () => (await positions()).every(({ lag }) => lag === 0))
  return async () => {
    await Promise.all([worker[Symbol.asyncDispose](), front[Symbol.asyncDispose]()])
    await stores[Symbol.asyncDispose]()
    await postgres.query(`drop database ${name} with (force)`)
    await clickhouse.command({ query: `DROP DATABASE ${name}` })
    await admin.deleteTopics({ topics: [topic] })
  }
})

const send = async (): Promise<void> => {
  const events = Array.from({ length: batch }, (_, i) => funnelEvent(sent + i, 40))
  sent += batch
  const headers = { 'content-type': 'application/x-ndjson' }
  const response = await fetch(`${front.address}/api/events`, {
    method: 'POST',
    headers,
    body: ndjson(events),
  })
  expect(await response.json()).toMatchObject({ accepted: batch })
}

/** Of the topic, in all projections. */
const positions = async () =>
  (await projections({ http: front.address })).items.flatMap((item) =>
    item.positions
      .filter((position) => position.topic === topic)
      .map((position) => ({ ...position, reader: item.name })),
  )

const rows = async () => ({
  profiles: await stores.postgres('select * from lead_profile order by lead_id'),
  webinars: await stores.postgres('select * from webinar_stats order by webinar_id'),
  events: await stores.clickhouse(
    'SELECT _topic, _partition, _offset, _event_id FROM events ORDER BY _topic, _partition, _offset',
  ),
})

const makeTopic = async (): Promise<void> => {
  await until('it can be made again', async () => {
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions }] }).catch(() => {})
    const { topics } = await admin.fetchTopicMetadata()
    return topics.some((one) => one.name === topic && one.partitions.length === partitions)
  })
}

/** Loudly: in every partition of every projection, and nothing of it was applied. */
const expectNoticed = async (before: Awaited<ReturnType<typeof rows>>, what: RegExp): Promise<void> => {
  const stopped = async () => (await positions()).filter(({ state }) => state === 'failed')
  await until(
    'every reader has stopped',
    async () => (await stopped()).length === readers.length * partitions,
    30_000,
  ).catch(async (error: unknown) => {
    throw new Error(`${error}\n${JSON.stringify(await positions(), undefined, 1)}`)
  })
  for (const { error } of await stopped()) expect(error).toMatch(what)
  const { items } = await projections({ http: front.address })
  expect(items.filter(({ name }) => readers.includes(name)).map(({ state }) => state)).toEqual(
    readers.map(() => 'failed'),
  )
  expect(await rows()).toEqual(before)
}

describe('a log that is not the one that was read', { timeout: 180_000 }, () => {
  it('is noticed where its beginning was deleted past what was applied', async () => {
    await worker.stop()
    const before = await rows()
    await send()
    const ends = await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({
      topic,
      partitions: ends.map(({ partition, offset }) => ({ partition, offset })),
    })
    await worker.start()
    await expectNoticed(before, /begins at \d+, and \d+ to \d+ were never applied/)
  })

  it('is noticed where its topic was deleted and made again while nobody read', async () => {
    await worker.stop()
    const before = await rows()
    await admin.deleteTopics({ topics: [topic] })
    await makeTopic()
    // More than there was: offsets alone would not tell.
    await send()
    await send()
    await worker.start()
    await expectNoticed(before, /another record stands at/)
  })

  it('is noticed where its topic was deleted and made again while a reader followed it', async () => {
    const before = await rows()
    await admin.deleteTopics({ topics: [topic] })
    await makeTopic()
    await expectNoticed(before, /is not the log that|reaches from|There is no/)
  })

  it('is noticed where a reader stood still while its topic was made again and filled', async () => {
    const before = await rows()
    worker.signal('SIGSTOP')
    await admin.deleteTopics({ topics: [topic] })
    await makeTopic()
    await send()
    await send()
    worker.signal('SIGCONT')
    await expectNoticed(before, /is not the log that|reaches from|There is no/)
  })
})
