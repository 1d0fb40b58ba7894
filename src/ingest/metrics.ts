import type { ServerResponse } from 'node:http'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Admission } from './admission.ts'
import { type EventErrorCode, eventErrorCodes } from './event-error.ts'

export interface IngestMetrics {
  accepted(count: number): void
  refused(code: EventErrorCode): void
  /** A request or a connection was not taken, or a stream broken off, for want of room. */
  pushedBack(reason: PushBack): void
  /** Called as a request comes; returns what to call behind its answer. Counts nothing where nobody was answered. */
  request(response: ServerResponse): () => void
}

const pushBacks = ['too_many_requests', 'server_busy', 'log_busy', 'too_many_connections'] as const

type PushBack = (typeof pushBacks)[number]

export const ingestMetrics = (
  registry: Registry,
  admission: Pick<Admission, 'heldBytes'>,
  now: () => number = () => performance.now(),
): IngestMetrics => {
  const accepted = new Counter({
    name: 'embudo_ingest_events_accepted_total',
    help: 'Events that the log has acknowledged.',
    registers: [registry],
  })
  const refused = new Counter({
    name: 'embudo_ingest_events_refused_total',
    help: 'Events that were not taken, by code.',
    labelNames: ['code'],
    registers: [registry],
  })
  const seconds = new Histogram({
    name: 'embudo_ingest_request_seconds',
    help: 'From the head of a request to its answer, by class of status.',
    labelNames: ['status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  })
  const pushedBack = new Counter({
    name: 'embudo_ingest_push_backs_total',
    help: 'Requests and connections that were not taken, and streams broken off, for want of room, by reason.',
    labelNames: ['reason'],
    registers: [registry],
  })
  for (const reason of pushBacks) pushedBack.inc({ reason }, 0)
  new Gauge({
    name: 'embudo_ingest_in_flight_bytes',
    help: 'Bytes of requests that are being read or not yet answered; bounded by EMBUDO_MAX_IN_FLIGHT_BYTES.',
    registers: [registry],
    collect() {
      this.set(admission.heldBytes)
    },
  })
  // Looked up once: a lookup by label costs more than the counting.
  const byCode = new Map(Object.keys(eventErrorCodes).map((code) => [code, refused.labels(code)]))
  const byStatus = new Map([2, 4, 5].map((status) => [status, seconds.labels(`${status}xx`)]))
  return {
    accepted: (count) => accepted.inc(count),
    refused: (code) => byCode.get(code)?.inc(),
    pushedBack: (reason) => pushedBack.inc({ reason }),
    request(response) {
      const startedAt = now()
      return () => {
        if (!response.headersSent) return
        byStatus.get(Math.floor(response.statusCode / 100))?.observe((now() - startedAt) / 1000)
      }
    },
  }
}
