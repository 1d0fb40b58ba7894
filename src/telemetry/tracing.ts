import { noTracing, type Tracing, type TracingConfig } from './span.ts'

/**
 * Sends spans where an address is configured; otherwise does nothing, and loads nothing of OpenTelemetry. The
 * sampler is parent based; `OTEL_TRACES_SAMPLER=parentbased_traceidratio` with `OTEL_TRACES_SAMPLER_ARG=0.1`, and
 * OpenTelemetry's other variables (headers, limits, queue), are read by its own SDK.
 */
export const startTracing = async (config: TracingConfig): Promise<Tracing> => {
  if (config.otlpEndpoint === undefined && config.jaegerEndpoint === undefined) return noTracing
  const { openTelemetry } = await import('./open-telemetry.ts')
  return await openTelemetry(config)
}
