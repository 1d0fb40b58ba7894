import type { LogBatch } from '../log/port.ts'
import { startBatchSpan } from './batch-spans.ts'
import { type Effect, startEffectSpan } from './effect-spans.ts'
import type { Metrics, StepOutcome } from './metrics.ts'
import type { Tracing } from './span.ts'

export interface ObservedBatch extends LogBatch {
  /** Dropped from it. */
  readonly duplicates: number
}

/** Called as a reader takes batches; what it returns, once their effect is committed or has failed. */
export type ObserveBatches = (reader: string, batches: readonly ObservedBatch[]) => (error?: unknown) => void

/** Called as a saga's call or undo begins; what it returns, as it ends. */
export type ObserveEffect = (effect: Effect) => (outcome: StepOutcome, error?: unknown) => void

export const batchObserver =
  (metrics: Metrics, tracing: Tracing, nowMs: () => number = () => performance.now()): ObserveBatches =>
  (reader, batches) => {
    const startedAt = nowMs()
    const span = startBatchSpan(tracing, reader, batches)
    return (error) => {
      span.end(undefined, error)
      if (error !== undefined) return
      let [records, duplicates] = [0, 0]
      for (const batch of batches) {
        records += batch.records.length
        duplicates += batch.duplicates
      }
      metrics.projection(reader).batch({ records, duplicates, seconds: (nowMs() - startedAt) / 1000 })
    }
  }

export const effectObserver =
  (metrics: Metrics, tracing: Tracing): ObserveEffect =>
  (effect) => {
    const span = startEffectSpan(tracing, effect)
    return (outcome, error) => {
      span.end({ 'embudo.saga.outcome': outcome }, error)
      metrics.saga(effect.saga).step(effect.step, outcome)
    }
  }
