import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { WholeRecord } from '../../../src/log/port.ts'
import { startBatchSpan } from '../../../src/telemetry/batch-spans.ts'
import { startEffectSpan } from '../../../src/telemetry/effect-spans.ts'
import type { ObservedBatch } from '../../../src/telemetry/observers.ts'
import { requestSpans } from '../../../src/telemetry/request-spans.ts'
import { startTracing } from '../../../src/telemetry/tracing.ts'
import { jaegerCollector, otlpCollector, patientExport, type SeenSpan } from './collectors.ts'

const caller = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

beforeEach(() => {
  for (const [variable, value] of patientExport) vi.stubEnv(variable, value)
})
afterEach(() => vi.unstubAllEnvs())

describe.each([
  ['OTLP', otlpCollector, 'otlpEndpoint'],
  ['Jaeger', jaegerCollector, 'jaegerEndpoint'],
] as const)('traces sent to %s', (_, start, setting) => {
  it('go from the request through the record to the rows and the effects of a saga', async () => {
    await using collector = await start()
    const tracing = await startTracing({
      [setting]: collector.address,
      serviceName: 'embudo',
      onProblem: fail,
    })

    const header = await appendedOverHttp(tracing, { traceparent: caller })
    startBatchSpan(tracing, 'lead_profile', [batch(header)]).end({ 'embudo.rows': 1 })
    startEffectSpan(tracing, effect(header)).end()
    await tracing[Symbol.asyncDispose]()

    const [request, projected, reserved] = inOrder(collector.spans, [
      'POST /api/events',
      'lead_profile process',
      'enrollment call',
    ])
    expect(request).toMatchObject({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      parentSpanId: 'b7ad6b7169203331',
      service: 'embudo',
    })
    expect(header).toBe(`00-${request.traceId}-${request.spanId}-01`)
    expect(projected).toMatchObject({ traceId: request.traceId, parentSpanId: request.spanId })
    expect(projected.links).toEqual([`${request.traceId}-${request.spanId}`])
    expect(projected.attributes).toMatchObject({
      'embudo.reader': 'lead_profile',
      'messaging.destination.name': 'embudo.leads',
    })
    expect(Number(projected.attributes['messaging.batch.message_count'])).toBe(1)
    expect(reserved).toMatchObject({ traceId: request.traceId, parentSpanId: request.spanId })
  })

  it('link a batch to each of the requests that its records came from, once', async () => {
    await using collector = await start()
    const tracing = await startTracing({
      [setting]: collector.address,
      serviceName: 'embudo',
      onProblem: fail,
    })

    const first = await appendedOverHttp(tracing, {})
    const second = await appendedOverHttp(tracing, {})
    startBatchSpan(tracing, 'events', [batch(first, undefined, second), batch(first)]).end()
    await tracing[Symbol.asyncDispose]()

    const [span] = inOrder(collector.spans, ['events process'])
    expect(span.links).toEqual([first, second].map((text) => text!.split('-').slice(1, 3).join('-')))
    expect(span.traceId).toBe(first!.split('-')[1])
    expect(Number(span.attributes['messaging.batch.message_count'])).toBe(4)
  })
})

describe('traces', () => {
  it('are not recorded where the caller decided so, and the decision travels on', async () => {
    await using collector = await otlpCollector()
    const tracing = await startTracing({
      otlpEndpoint: collector.address,
      serviceName: 'embudo',
      onProblem: fail,
    })

    const header = await appendedOverHttp(tracing, { traceparent: caller.replace(/01$/, '00') })
    startBatchSpan(tracing, 'lead_profile', [batch(header)]).end()
    startEffectSpan(tracing, effect(header)).end()
    await tracing[Symbol.asyncDispose]()

    expect(header).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$/)
    expect(collector.spans).toEqual([])
  })

  it('are sampled by the ratio that is configured, but for callers that have decided', async () => {
    vi.stubEnv('OTEL_TRACES_SAMPLER', 'parentbased_traceidratio')
    vi.stubEnv('OTEL_TRACES_SAMPLER_ARG', '0')
    await using collector = await otlpCollector()
    const tracing = await startTracing({
      otlpEndpoint: collector.address,
      serviceName: 'embudo',
      onProblem: fail,
    })

    await appendedOverHttp(tracing, {})
    await appendedOverHttp(tracing, { traceparent: caller })
    await tracing[Symbol.asyncDispose]()

    expect(collector.spans.map(({ parentSpanId }) => parentSpanId)).toEqual(['b7ad6b7169203331'])
  })

  it('go to both collectors where both are configured', async () => {
    await using otlp = await otlpCollector()
    await using jaeger = await jaegerCollector()
    const tracing = await startTracing({
      otlpEndpoint: otlp.address,
      jaegerEndpoint: jaeger.address,
      serviceName: 'embudo',
      onProblem: fail,
    })

    await appendedOverHttp(tracing, {})
    await tracing[Symbol.asyncDispose]()

    expect(otlp.spans).toHaveLength(1)
    expect(jaeger.spans.map(({ spanId }) => spanId)).toEqual(otlp.spans.map(({ spanId }) => spanId))
  })

  it('tell a failed effect from one that was done', async () => {
    await using collector = await jaegerCollector()
    const tracing = await startTracing({
      jaegerEndpoint: collector.address,
      serviceName: 'embudo',
      onProblem: fail,
    })

    startEffectSpan(tracing, effect(undefined)).end({}, new Error('the seats did not answer'))
    await tracing[Symbol.asyncDispose]()

    expect(collector.spans[0]?.attributes).toMatchObject({
      error: true,
      'otel.status_description': 'the seats did not answer',
    })
  })

  it('that nobody takes are told of, and harm nothing', async () => {
    const problems: string[] = []
    vi.stubEnv('OTEL_EXPORTER_OTLP_TIMEOUT', '500')
    const tracing = await startTracing({
      otlpEndpoint: 'http://127.0.0.1:9',
      serviceName: 'embudo',
      onProblem: (message) => problems.push(message),
    })
    const header = await appendedOverHttp(tracing, {})
    await tracing[Symbol.asyncDispose]()

    expect(header).toMatch(/-01$/)
    expect(problems.length).toBeGreaterThan(0)
  })
})

/** The header that a request's records would get, from a server with spans around its requests. */
const appendedOverHttp = async (
  tracing: Awaited<ReturnType<typeof startTracing>>,
  headers: Record<string, string>,
): Promise<string | undefined> => {
  const spans = requestSpans(tracing)
  let header: string | undefined
  const server = createServer(
    spans.around('/api/events', (request, response) => {
      header = spans.traceparentOf(request)
      response.writeHead(202).end()
    }),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api/events`, {
    method: 'POST',
    headers,
  })
  await answer.arrayBuffer()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  return header
}

const batch = (...traceparents: (string | undefined)[]): ObservedBatch => ({
  topic: 'embudo.leads',
  partition: 3,
  highWatermark: 100,
  markers: 0,
  duplicates: 0,
  records: traceparents.map((traceparent, index): WholeRecord => {
    const headers: Record<string, string> = traceparent === undefined ? {} : { traceparent }
    return {
      offset: 40 + index,
      timestamp: 0,
      key: null,
      value: null,
      header: (name) => headers[name],
      copyHeader: () => -1,
      headers: () => headers,
      body: () => Buffer.alloc(0),
    }
  }),
})

const effect = (traceparent: string | undefined) =>
  ({
    saga: 'enrollment',
    sagaId: 'E-1',
    step: 'reserve_seat',
    direction: 'call',
    attempt: 1,
    traceparent,
  }) as const

const inOrder = <const Names extends readonly string[]>(spans: readonly SeenSpan[], names: Names) =>
  names.map((name) => {
    const found = spans.filter((span) => span.name.startsWith(name))
    if (found.length !== 1)
      throw new Error(`${found.length} spans ${name} among ${spans.map((span) => span.name).join(', ')}`)
    return found[0]
  }) as unknown as { [Index in keyof Names]: SeenSpan }

const fail = (message: string): never => {
  throw new Error(message)
}
