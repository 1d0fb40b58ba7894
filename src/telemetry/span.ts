/**
 * Traces as the rest of the program sees them. A span's context travels as text, W3C's `traceparent`: in the
 * request, in the record's headers, in a saga's start. So nothing here follows calls through the event loop,
 * which would cost every await.
 */
export interface Tracing extends AsyncDisposable {
  /** False where no address is configured: whoever would collect something for a span can leave that. */
  readonly enabled: boolean
  start(name: string, options: SpanOptions): Span
}

export interface SpanOptions {
  readonly kind: 'server' | 'consumer' | 'client' | 'producer'
  /** The `traceparent` that it continues; without one, or with one that is malformed, a trace begins. */
  readonly parent?: string | undefined
  /** The `traceparent`s of what it came from besides. */
  readonly links?: readonly string[]
  readonly attributes?: Attributes
}

export type Attributes = Readonly<Record<string, string | number | boolean>>

export interface Span {
  /** To hand on. Without tracing it is the parent's: a caller's trace goes through us also then. */
  readonly traceparent: string | undefined
  /** Ends it, as failed where there is an error. */
  end(attributes?: Attributes, error?: unknown): void
}

export interface TracingConfig {
  /** The base address, as OpenTelemetry defines it: `/v1/traces` is put behind it. */
  readonly otlpEndpoint?: string | undefined
  readonly jaegerEndpoint?: string | undefined
  readonly serviceName: string
  /** Told when spans could not be delivered. */
  readonly onProblem: (message: string) => void
}

export const noTracing: Tracing = {
  enabled: false,
  start: (_, { parent }) => (parent === undefined ? noSpan : { traceparent: parent, end: nothing }),
  async [Symbol.asyncDispose]() {},
}

const nothing = (): void => {}
const noSpan: Span = { traceparent: undefined, end: nothing }
