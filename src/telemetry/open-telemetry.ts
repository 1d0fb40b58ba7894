import {
  type Context,
  context,
  DiagLogLevel,
  diag,
  logs,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { NodeSDK, type NodeSDKConfiguration } from '@opentelemetry/sdk-node'
import { messageOf } from '../define/error.ts'
import type { Span, SpanOptions, Tracing, TracingConfig } from './span.ts'

/** Tracing by OpenTelemetry's SDK, without instrumentation of libraries: spans are those that the program starts. */
export const openTelemetry = async (config: TracingConfig): Promise<Tracing> => {
  const sdk = new NodeSDK({
    serviceName: config.serviceName,
    traceExporter: toAll(await exportersOf(config)),
    // Left out, these would be set up from the environment, and logs and metrics sent to the same address.
    logRecordProcessors: [],
    metricReaders: [],
    textMapPropagator: null,
  })
  diag.setLogger(problemsTo(config.onProblem), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
  sdk.start()
  const tracer = trace.getTracer('embudo')

  return {
    enabled: true,
    start: (name, { kind, parent, links, attributes }) => {
      const span = tracer.startSpan(
        name,
        {
          kind: kinds[kind],
          ...(attributes === undefined ? {} : { attributes }),
          ...(links === undefined ? {} : { links: linksOf(links) }),
        },
        contextOf(parent),
      )
      const { traceId, spanId, traceFlags } = span.spanContext()
      return {
        traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
        end: (last, error) => {
          if (last !== undefined) span.setAttributes(last)
          if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) })
          span.end()
        },
      } satisfies Span
    },
    async [Symbol.asyncDispose]() {
      try {
        await sdk.shutdown()
      } catch (error) {
        config.onProblem(`the last spans could not be delivered: ${messageOf(error)}`)
      }
      // The SDK leaves what it has registered for the whole process.
      trace.disable()
      context.disable()
      logs.disable()
      diag.disable()
    },
  }
}

type Exporter = NodeSDKConfiguration['traceExporter']

// Imported one by one: each brings a protocol's libraries with it.
const exportersOf = async ({ otlpEndpoint, jaegerEndpoint }: TracingConfig): Promise<Exporter[]> => {
  const exporters: Exporter[] = []
  if (otlpEndpoint !== undefined) {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http')
    exporters.push(new OTLPTraceExporter({ url: `${otlpEndpoint.replace(/\/+$/, '')}/v1/traces` }))
  }
  if (jaegerEndpoint !== undefined) {
    const { JaegerExporter } = await import('@opentelemetry/exporter-jaeger')
    exporters.push(new JaegerExporter({ endpoint: jaegerEndpoint }))
  }
  return exporters
}

/** Its result is that of the worst. */
const toAll = (exporters: readonly Exporter[]): Exporter => {
  if (exporters.length === 1) return exporters[0]!
  return {
    export: (spans, done) => {
      let open = exporters.length
      let worst: Parameters<typeof done>[0] = { code: 0 }
      for (const exporter of exporters) {
        exporter.export(spans, (result) => {
          if (result.code !== 0) worst = result
          open -= 1
          if (open === 0) done(worst)
        })
      }
    },
    forceFlush: async () => void (await Promise.all(exporters.map((exporter) => exporter.forceFlush?.()))),
    shutdown: async () => void (await Promise.all(exporters.map((exporter) => exporter.shutdown()))),
  }
}

const kinds: Readonly<Record<SpanOptions['kind'], SpanKind>> = {
  server: SpanKind.SERVER,
  consumer: SpanKind.CONSUMER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
}

const contextOf = (parent: string | undefined): Context => {
  const spanContext = parent === undefined ? undefined : parse(parent)
  return spanContext === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, spanContext)
}

const linksOf = (links: readonly string[]): { context: SpanContext }[] =>
  links.flatMap((link) => {
    const parsed = parse(link)
    return parsed === undefined ? [] : [{ context: parsed }]
  })

/** https://www.w3.org/TR/trace-context/#traceparent-header */
const parse = (traceparent: string): SpanContext | undefined => {
  const match = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})/.exec(
    traceparent,
  )
  if (match === null) return undefined
  return {
    traceId: match[1]!,
    spanId: match[2]!,
    traceFlags: Number.parseInt(match[3]!, 16) & 1,
    isRemote: true,
  }
}

const problemsTo = (onProblem: (message: string) => void) => {
  const tell = (message: string, ...rest: unknown[]): void =>
    onProblem([message, ...rest.map(String)].join(' '))
  return { error: tell, warn: tell, info: () => {}, debug: () => {}, verbose: () => {} }
}
