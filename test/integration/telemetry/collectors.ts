import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { thriftStruct, thriftText } from './thrift.ts'

/** What a collector was told of a span; the same for both protocols. */
export interface SeenSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly links: readonly string[]
  readonly service: string
  readonly attributes: Readonly<Record<string, unknown>>
}

export interface Collector extends AsyncDisposable {
  readonly address: string
  readonly spans: SeenSpan[]
}

/** Of OpenTelemetry's SDK: a slow machine is no reason to give spans up. */
export const patientExport = [
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '300000'],
  ['OTEL_BSP_EXPORT_TIMEOUT', '300000'],
] as const

/** OTLP over HTTP, with JSON. */
export const otlpCollector = (): Promise<Collector> =>
  collector('', (path, body) => {
    if (path !== '/v1/traces') return []
    const { resourceSpans } = JSON.parse(body.toString()) as OtlpRequest
    return resourceSpans.flatMap(({ resource, scopeSpans }) =>
      scopeSpans.flatMap(({ spans }) =>
        spans.map((span) => ({
          name: span.name,
          traceId: span.traceId,
          spanId: span.spanId,
          parentSpanId: span.parentSpanId ?? '',
          links: (span.links ?? []).map(({ traceId, spanId }) => `${traceId}-${spanId}`),
          service: String(valuesOf(resource.attributes)['service.name']),
          attributes: valuesOf(span.attributes),
        })),
      ),
    )
  })

/** Jaeger's collector: Thrift's binary protocol over HTTP, https://github.com/jaegertracing/jaeger-idl */
export const jaegerCollector = (): Promise<Collector> =>
  collector('/api/traces', (_, body) => {
    const batch = thriftStruct(body)
    const service = thriftText((batch[1] as Record<number, unknown>)[1])
    return (batch[2] as Record<number, unknown>[]).map((span) => ({
      name: thriftText(span[5]),
      traceId: hex(span[2]) + hex(span[1]),
      spanId: hex(span[3]),
      parentSpanId: span[4] === 0n ? '' : hex(span[4]),
      links: ((span[6] as Record<number, unknown>[] | undefined) ?? []).map(
        (link) => `${hex(link[3])}${hex(link[2])}-${hex(link[4])}`,
      ),
      service,
      attributes: Object.fromEntries(
        (span[10] as Record<number, unknown>[]).map((tag) => [thriftText(tag[1]), tagValue(tag)]),
      ),
    }))
  })

/** Its type is told by field 2; the fields of the other types hold their empty values. */
const tagValue = (tag: Record<number, unknown>): unknown =>
  tag[2] === 0 ? thriftText(tag[3]) : tag[Number(tag[2]) + 3]

const collector = async (
  path: string,
  read: (path: string, body: Buffer) => SeenSpan[],
): Promise<Collector> => {
  const spans: SeenSpan[] = []
  const server = createServer(async (request, response) => {
    spans.push(...read(request.url!, await buffer(request)))
    response.setHeader('content-type', 'application/json').end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    spans,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] }
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[]
  }[]
}

interface OtlpSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly attributes: readonly OtlpAttribute[]
}

interface OtlpAttribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

const valuesOf = (attributes: readonly OtlpAttribute[]): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

const hex = (value: unknown): string =>
  BigInt.asUintN(64, value as bigint)
    .toString(16)
    .padStart(16, '0')
