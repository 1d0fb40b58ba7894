import { EmbudoError } from '../define/error.ts'
import type { NewEvent } from '../define/event.ts'
import type { SagaDefinition, StepDefinition } from '../define/saga.ts'
import type { Emission, Moment, Run } from './decision.ts'
import { idempotencyKeyOf, uuidOf } from './deterministic-id.ts'
import type { JournalEntry, Saga, SagaState } from './saga.ts'

/** The decision while it is made. */
export class Draft {
  readonly definition: SagaDefinition
  readonly moment: Moment
  readonly journal: JournalEntry[] = []
  readonly emit: Emission[] = []
  saga: Saga
  run: Run | undefined

  constructor(definition: SagaDefinition, saga: Saga, moment: Moment) {
    this.definition = definition
    this.saga = saga
    this.moment = moment
  }

  get index(): number {
    return this.definition.steps.findIndex((step) => step.name === this.saga.step)
  }

  get step(): StepDefinition {
    const step = this.definition.steps[this.index]
    if (step === undefined) {
      const { type, version, step: name, id } = this.saga
      throw new EmbudoError(
        'saga_step_unknown',
        `${type} version ${version} has no step ${name}: raise the version when steps change`,
        {
          facts: { saga: id },
        },
      )
    }
    return step
  }

  get isPastPivot(): boolean {
    const pivot = this.definition.steps.findIndex((step) => step.isPivot)
    return pivot !== -1 && this.index > pivot
  }

  /** A pivot that was begun may have been done, so it counts, unless it answers that it refuses. */
  get isForwardOnly(): boolean {
    return this.isPastPivot || (this.step.isPivot && this.saga.attempt > 0)
  }

  get isPastDeadline(): boolean {
    return this.moment.nowMs >= this.#deadlineMs
  }

  get #deadlineMs(): number {
    return this.saga.startedAtMs + this.definition.deadlineMs
  }

  wakeFromWait(): number {
    const until = this.saga.waitUntilMs ?? this.moment.nowMs
    return this.isForwardOnly ? until : Math.min(until, this.#deadlineMs)
  }

  set(changes: Partial<Saga>): this {
    this.saga = { ...this.saga, ...changes }
    return this
  }

  note(what: string, more: { attempt?: number; error?: string } = {}): this {
    this.journal.push({
      step: this.saga.step,
      what,
      attempt: more.attempt ?? null,
      error: more.error ?? null,
    })
    return this
  }

  tell(why: string, events: readonly NewEvent[]): this {
    const { id, step } = this.saga
    for (const [index, event] of events.entries()) {
      this.emit.push({ id: event.id ?? uuidOf(`event\n${id}\n${step}\n${why}\n${index}`), event })
    }
    return this
  }

  begin(kind: Run['kind']): this {
    const { step, saga } = this
    this.note(kind === 'call' ? 'calling' : 'undoing', { attempt: saga.attempt })
    this.run = { step, kind, idempotencyKey: idempotencyKeyOf(saga.id, step.name, kind) }
    return this
  }

  end(state: SagaState, what: string): this {
    this.set({ state, endedAtMs: this.moment.nowMs, dueAtMs: null, waitUntilMs: null })
    this.journal.push({ step: null, what, attempt: null, error: this.saga.reason })
    return this
  }

  compensatedContext(): Parameters<NonNullable<SagaDefinition['compensated']>>[0] {
    const { id, subject, start, startedAtMs, results, reason } = this.saga
    return {
      saga: { id, subject, startedAt: new Date(startedAtMs).toISOString() },
      start: start as never,
      results,
      reason: reason ?? '',
    }
  }
}
