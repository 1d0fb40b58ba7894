import type { AppendRecord, Log } from '../log/port.ts'
import type { AppendMetrics } from './metrics.ts'

/** The same log, with its appends timed and what waits for acknowledgement counted. */
export const measuredLog = (
  log: Log,
  metrics: AppendMetrics,
  nowMs: () => number = () => performance.now(),
): Log => {
  let pendingBytes = 0
  metrics.collectPendingBytes(() => pendingBytes)
  return {
    ensureTopics: (specs) => log.ensureTopics(specs),
    bounds: (topic) => log.bounds(topic),
    offsetsAt: (topic, time) => log.offsetsAt(topic, time),
    reader: (options) => log.reader(options),
    mirrorOffsets: (group, offsets) => log.mirrorOffsets(group, offsets),
    ping: () => log.ping(),
    async append(records) {
      const bytes = bytesOf(records)
      const startedAt = nowMs()
      pendingBytes += bytes
      try {
        return await log.append(records)
      } finally {
        pendingBytes -= bytes
        metrics.done((nowMs() - startedAt) / 1000)
      }
    },
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  }
}

const bytesOf = (records: readonly AppendRecord[]): number => {
  let bytes = 0
  for (const record of records) {
    bytes += 'body' in record ? record.body.length : record.key.length + record.value.length
  }
  return bytes
}
