import type { DomainEvent } from '../define/event.ts'

/** A saga as it stands: all that decides what comes next. */
export interface Saga {
  readonly id: string
  readonly type: string
  readonly version: number
  readonly subject: string
  readonly start: DomainEvent
  readonly startedAtMs: number
  readonly state: SagaState
  /** The step that is called, waited for or undone; of an ended saga, the last one. */
  readonly step: string
  /** How often the call or the undo of this step was begun. Raised before it runs. */
  readonly attempt: number
  /** How many of these are known to have failed; the others were cut off, with an outcome that nobody saw. */
  readonly failures: number
  /** The steps to take back, the last one first. A step is in here before its call runs. */
  readonly undo: readonly string[]
  readonly results: Readonly<Record<string, unknown>>
  /** Why it is, or was, taken back. */
  readonly reason: string | null
  readonly waitUntilMs: number | null
  /** When somebody has to look at it next; null when it has ended or is parked. */
  readonly dueAtMs: number | null
  readonly endedAtMs: number | null
}

export const sagaStates = [
  'RUNNING',
  'WAITING',
  'COMPENSATING',
  'COMPLETED',
  'COMPENSATED',
  'COMPENSATION_FAILED',
  'ABORTED',
] as const
export type SagaState = (typeof sagaStates)[number]

/** A line of the timeline. */
export interface JournalEntry {
  readonly step: string | null
  readonly what: string
  readonly attempt: number | null
  readonly error: string | null
}
