import type { Span, Tracing } from './span.ts'

export interface Effect {
  readonly saga: string
  readonly sagaId: string
  readonly step: string
  readonly direction: 'call' | 'undo'
  readonly attempt: number
  /** Of the event that the saga began with. */
  readonly traceparent: string | undefined
}

/** One span an attempt, in the trace of the request that started the saga. */
export const startEffectSpan = (tracing: Tracing, effect: Effect): Span =>
  tracing.start(`${effect.saga} ${effect.direction} ${effect.step}`, {
    kind: 'client',
    parent: effect.traceparent,
    ...(tracing.enabled && {
      attributes: {
        'embudo.saga': effect.saga,
        'embudo.saga.id': effect.sagaId,
        'embudo.saga.step': effect.step,
        'embudo.saga.direction': effect.direction,
        'embudo.saga.attempt': effect.attempt,
      },
    }),
  })
