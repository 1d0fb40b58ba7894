import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { clickhouseClient } from '../../clickhouse-client.ts'
import { dropDatabase } from '../../drop-database.ts'
import { until } from '../../processes.ts'
import { funnelEvent, ndjson } from './load.ts'
import { projections } from './oracle.ts'
import { Role } from './role.ts'
import { Stores } from './stores.ts'

const partitions = 6
const readers = ['events', 'lead_profile', 'webinar_stats']
const batch = 120
/** Shorter than its membership lasts: nobody else takes its partitions and looks. */
const standstillMs = 2_000

const parts = inject('parts')
const kafka = new Kafka({ brokers: parts.kafkaBrokers.split(','), logLevel: logLevel.NOTHING })
const admin = kafka.admin()
const postgres = new Client({ connectionString: parts.databaseUrl })
const clickhouse = clickhouseClient({ url: parts.clickhouseUrl })
beforeAll(async () => {
  await Promise.all([admin.connect(), postgres.connect()])
})
afterAll(async () => {
  await Promise.all([admin.disconnect(), postgres.end(), clickhouse.close()])
})

/** The program on topics and databases of its own; every projection has read the log of leads to its end. */
const readToItsEnd = async () => {
  await using cleanUp = new AsyncDisposableStack()
  const name = `changed_${randomUUID().replaceAll('-', '').slice(0, 12)}`
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
  await postgres.query(`create database ${name}`)
  cleanUp.defer(() => dropDatabase(postgres, name))
  await clickhouse.command({ query: `CREATE DATABASE ${name}` })
  cleanUp.defer(async () => void (await clickhouse.command({ query: `DROP DATABASE ${name}` })))
  const topics = async () => (await admin.listTopics()).filter((topic) => topic.startsWith(`${name}.`))
  const deleted = (gone: readonly string[]) =>
    until('they are gone', async () => {
      const left = (await topics()).filter((topic) => gone.includes(topic))
      if (left.length > 0) await admin.deleteTopics({ topics: left }).catch(() => {})
      return left.length === 0
    })
  cleanUp.defer(async () => await deleted(await topics()))
  const stores = cleanUp.use(new Stores(run))
  const front = cleanUp.use(await Role.start('ingest,query', settings))
  const worker = cleanUp.use(await Role.start('project', settings))

  const topic = `${name}.leads`
  let sent = 0
  const at = {
    topic,
    worker,
    send: async (): Promise<void> => {
      const events = Array.from({ length: batch }, (_, i) => funnelEvent(sent + i, 40))
      sent += batch
      const headers = { 'content-type': 'application/x-ndjson' }
      const request = { method: 'POST', headers, body: ndjson(events) }
      const response = await fetch(`${front.address}/api/events`, request)
      expect(await response.json()).toMatchObject({ accepted: batch })
    },
    items: async () => {
      let items: Awaited<ReturnType<typeof projections>>
      await until('it tells of its projections', async () => {
        items = await projections({ http: front.address })
        return items !== undefined
      })
      return items ?? []
    },
    /** Of the topic, in all projections. */
    positions: async () =>
      (await at.items()).flatMap((item) => item.positions.filter((position) => position.topic === topic)),
    rows: async () => ({
      profiles: await stores.postgres('select * from lead_profile order by lead_id'),
      webinars: await stores.postgres('select * from webinar_stats order by webinar_id'),
      events: await stores.clickhouse(
        'SELECT _topic, _partition, _offset, _event_id FROM events ORDER BY _topic, _partition, _offset',
      ),
    }),
    makeTopicAgain: async (): Promise<void> => {
      await deleted([topic])
      await until('it can be made again', async () => {
        await admin.createTopics({ topics: [{ topic, numPartitions: partitions }] }).catch(() => {})
        return (await topics()).includes(topic)
      })
    },
  }
  await at.send()
  await until('it has all been read', async () => (await at.positions()).every(({ lag }) => lag === 0))
  const toEnd = cleanUp.move()
  return { ...at, [Symbol.asyncDispose]: () => toEnd.disposeAsync() }
}
type Read = Awaited<ReturnType<typeof readToItsEnd>>

/** Loudly: in every partition of every projection, and nothing of it was applied. */
const expectNoticed = async (
  at: Read,
  before: Awaited<ReturnType<Read['rows']>>,
  what: RegExp,
): Promise<void> => {
  const stopped = async () => (await at.positions()).filter(({ state }) => state === 'failed')
  const isNoticed = async () => (await stopped()).length === readers.length * partitions
  await until('every reader has stopped', isNoticed).catch(async (error: unknown) => {
    throw new Error(`${error}\n${JSON.stringify(await at.positions(), undefined, 1)}`)
  })
  for (const { error } of await stopped()) expect(error).toMatch(what)
  const states = (await at.items()).map(({ name, state }) => [name, state])
  expect(Object.fromEntries(states)).toMatchObject(
    Object.fromEntries(readers.map((name) => [name, 'failed'])),
  )
  expect(await at.rows()).toEqual(before)
}

describe('a log that is not the one that was read', { timeout: 600_000 }, () => {
  it('is noticed where its beginning was deleted past what was applied', async () => {
    await using at = await readToItsEnd()
    await at.worker.stop()
    const before = await at.rows()
    await at.send()
    const ends = await admin.fetchTopicOffsets(at.topic)
    const gone = ends.map(({ partition, offset }) => ({ partition, offset }))
    await admin.deleteTopicRecords({ topic: at.topic, partitions: gone })
    await at.worker.start()
    await expectNoticed(at, before, /begins at \d+, and \d+ to \d+ were never applied/)
  })

  it('is noticed where its topic was deleted and made again while nobody read', async () => {
    await using at = await readToItsEnd()
    await at.worker.stop()
    const before = await at.rows()
    await at.makeTopicAgain()
    // More than there was: offsets alone would not tell.
    await at.send()
    await at.send()
    await at.worker.start()
    await expectNoticed(at, before, /another record stands at/)
  })

  it('is noticed where its topic was deleted and made again while a reader followed it', async () => {
    await using at = await readToItsEnd()
    const before = await at.rows()
    await at.makeTopicAgain()
    await expectNoticed(at, before, /is not the log that|reaches from|There is no/)
  })

  it('is noticed where a reader stood still while its topic was made again and filled', async () => {
    await using at = await readToItsEnd()
    const before = await at.rows()
    at.worker.signal('SIGSTOP')
    const goesOn = delay(standstillMs)
    await at.makeTopicAgain()
    await at.send()
    await at.send()
    await goesOn
    at.worker.signal('SIGCONT')
    await expectNoticed(at, before, /is not the log that|reaches from|There is no/)
  })
})
