import type { NewEvent } from '../define/event.ts'
import type { StepDefinition } from '../define/saga.ts'
import type { JournalEntry, Saga } from './saga.ts'

/** What comes of it. All of it is stored together, before `run` is run. */
export interface Decision {
  readonly saga: Saga
  readonly journal: readonly JournalEntry[]
  readonly emit: readonly Emission[]
  readonly run: Run | undefined
}

/** An event with its id: the same whenever the same decision is made. */
export interface Emission {
  readonly id: string
  readonly event: NewEvent
}

export interface Run {
  readonly step: StepDefinition
  readonly kind: 'call' | 'undo'
  readonly idempotencyKey: string
}

export interface Moment {
  readonly nowMs: number
  readonly random: () => number
}
