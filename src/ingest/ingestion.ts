import type { IncomingMessage } from 'node:http'
import type { Registry } from 'prom-client'
import type { Route } from '../http/route.ts'
import { Admission, type Hold } from './admission.ts'
import { callerOf } from './caller.ts'
import { eventRoutes } from './event-routes.ts'
import { defaultIngestLimits, type Ingest, type IngestLimits, type IngestParts, ingest } from './ingest.ts'
import { type LeadWriteParts, leadWriteRoutes } from './lead-routes.ts'
import { ingestMetrics } from './metrics.ts'

export interface IngestionParts
  extends Pick<IngestParts, 'log' | 'validate' | 'toRecord' | 'wait' | 'traceparent' | 'onError'>,
    Pick<LeadWriteParts, 'catalog' | 'newId'> {
  readonly prefix: string
  readonly registry: Registry
}

export interface Ingestion {
  /** POST /api/events. */
  readonly take: Ingest
  /** What Express serves: the catalogue and the writing of leads. */
  readonly routes: readonly Route[]
  readonly admission: Admission
  /** Room for the body of any other request. */
  admit(request: IncomingMessage, bytes: number): Hold
  /** A connection was closed as it came. */
  connectionDropped(): void
  /** Lets streams that still go on come to an end. */
  stop(): void
}

/** Everything that takes events, behind one admission. */
export const ingestion = (
  { catalog, prefix, registry, newId, ...parts }: IngestionParts,
  { maxInFlightBytes, ...limits }: Partial<IngestLimits> & { readonly maxInFlightBytes: number },
): Ingestion => {
  const stopping = new AbortController()
  const admission: Admission = new Admission({
    maxBytes: maxInFlightBytes,
    onPushBack: (reason) => metrics.pushedBack(reason),
  })
  const metrics = ingestMetrics(registry, admission)
  const taking = { ...parts, admission, metrics, stopping: stopping.signal }
  return {
    take: ingest(taking, { ...defaultIngestLimits, ...limits }),
    routes: [
      ...eventRoutes(catalog, prefix),
      ...leadWriteRoutes({ ...parts, catalog, newId, admission, metrics }),
    ],
    admission,
    admit: (request, bytes) => admission.admit(callerOf(request), bytes),
    connectionDropped: () => metrics.pushedBack('too_many_connections'),
    stop: () => stopping.abort(),
  }
}
