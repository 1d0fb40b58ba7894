import { randomUUID } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { readConfig } from '../../../src/config.ts'
import type { Served } from '../../../src/supervisor/serve.ts'
import { clickhouseClient } from '../../clickhouse-client.ts'
import { dropDatabase } from '../../drop-database.ts'
import { eventually } from '../../processes.ts'
import { startWholeApp } from '../../start-app.ts'
import { type Collector, otlpCollector, patientExport, type SeenSpan } from './collectors.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const caller = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, 'content-type': 'application/json' }
const name = `traced_${randomUUID().replaceAll('-', '').slice(0, 12)}`

describe('a request that is traced', () => {
  const world = new AsyncDisposableStack()
  let collector: Collector
  let app: Served

  beforeAll(async () => {
    vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', '50')
    for (const [variable, value] of patientExport) vi.stubEnv(variable, value)
    const parts = inject('parts')
    world.use(await databases(parts.databaseUrl, parts.clickhouseUrl))
    collector = world.use(await otlpCollector())
    const config = readConfig({
      KAFKA_BROKERS: parts.kafkaBrokers,
      SCHEMA_REGISTRY_URL: parts.registryUrl,
      DATABASE_URL: withPath(parts.databaseUrl),
      CLICKHOUSE_URL: withPath(parts.clickhouseUrl),
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.address,
      EMBUDO_TOPIC_PREFIX: `${name}.`,
      EMBUDO_PORT: '0',
      EMBUDO_LOG_LEVEL: 'error',
      EMBUDO_APPEND_TIMEOUT_MS: '60000',
    })
    app = world.use(await startWholeApp(config))
  })

  afterAll(async () => {
    await world.disposeAsync()
    vi.unstubAllEnvs()
  })

  it('is one trace to the rows of Postgres and ClickHouse', async () => {
    const data = { leadId: 'L-1', webinarId: 'W-9', attendanceDuration: 2710, engagementScore: 0.83 }
    await send(app.address, { type: 'webinar_attended', data })

    const request = await spanOf(collector, 'POST /api/events')
    const inTrace = { traceId, links: [`${traceId}-${request.spanId}`], parentSpanId: request.spanId }
    expect(request).toMatchObject({ traceId, parentSpanId: '00f067aa0ba902b7' })
    expect(await spanOf(collector, `lead_profile process ${name}.leads`)).toMatchObject(inTrace)
    expect(await spanOf(collector, `webinar_stats process ${name}.leads`)).toMatchObject(inTrace)
    expect(await spanOf(collector, `events process ${name}.leads`)).toMatchObject(inTrace)
  })

  it('is one trace to the effects of the saga that it starts, and what they put on the log', async () => {
    const data = {
      enrollmentId: 'E-1',
      leadId: 'L-1',
      courseId: 'C-1',
      price: '99.00',
      currency: 'EUR',
      paymentMethod: 'pm_card_visa',
    }
    await send(app.address, { type: 'enrollment_requested', data })

    const effects = ['reserve_seat', 'take_payment', 'update_crm', 'confirm']
    for (const step of effects) {
      const done = { 'embudo.saga.outcome': 'done' }
      expect(await spanOf(collector, `enrollment call ${step}`, done)).toMatchObject({ traceId })
    }
    expect(await spanOf(collector, `events process ${name}.enrollments`)).toMatchObject({ traceId })
  })

  it('is counted in the metrics, and nothing is left behind', async () => {
    const lag = /^embudo_projection_lag_records\{projection="lead_profile",topic="[^"]*leads".*\} 0$/m
    await vi.waitFor(async () => {
      const metrics = await metricsOf(app.address)
      expect(metrics).toMatch(lag)
      expect(metrics).toMatch(/^embudo_projection_applied_total\{projection="lead_profile",.*\} 1$/m)
      expect(metrics).toMatch(
        /^embudo_saga_steps_total\{saga="enrollment",step="take_payment",outcome="done",.*\} [1-9]\d*$/m,
      )
      expect(metrics).toMatch(/^embudo_append_pending_bytes\{.*\} 0$/m)
    }, patience)
    // What was in the way for a moment is counted for good: that nothing more is added is what counts.
    await eventually(
      async () => [await scrapeFailures(app.address), await scrapeFailures(app.address)],
      ([before, after]) => before === after,
    )
  })
})

const patience = { timeout: 120_000, interval: 50 }

const send = async (address: string, event: object): Promise<void> => {
  const answer = await fetch(`${address}/api/events`, {
    method: 'POST',
    headers: caller,
    body: JSON.stringify(event),
  })
  expect(answer.status, await answer.text()).toBe(202)
}

const spanOf = (
  collector: Collector,
  named: string,
  attributes: SeenSpan['attributes'] = {},
): Promise<SeenSpan> =>
  vi.waitFor(() => {
    const found = collector.spans.find(
      (span) =>
        span.name === named &&
        Object.entries(attributes).every(([attribute, value]) => span.attributes[attribute] === value),
    )
    if (found === undefined)
      throw new Error(`no ${named} among ${collector.spans.map((span) => span.name).join(', ')}`)
    return found
  }, patience)

const metricsOf = async (address: string): Promise<string> => await (await fetch(`${address}/metrics`)).text()

const scrapeFailures = async (address: string): Promise<number> =>
  (await metricsOf(address))
    .matchAll(/^embudo_scrape_failures_total\{.*\} (\d+)$/gm)
    .reduce((sum, [, times]) => sum + Number(times), 0)

/** One in each store, gone with the test. */
const databases = async (databaseUrl: string, clickhouseUrl: string): Promise<AsyncDisposable> => {
  const postgres = new Client({ connectionString: databaseUrl })
  await postgres.connect()
  await postgres.query(`create database ${name}`)
  const clickhouse = clickhouseClient({ url: clickhouseUrl })
  await clickhouse.command({ query: `create database ${name}` })
  return {
    async [Symbol.asyncDispose]() {
      await dropDatabase(postgres, name)
      await postgres.end()
      await clickhouse.command({ query: `drop database ${name}` })
      await clickhouse.close()
    },
  }
}

const withPath = (address: string): string => {
  const url = new URL(address)
  url.pathname = name
  return url.href
}
