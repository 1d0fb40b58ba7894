import type { DomainEvent } from '../../../src/define/event.ts'
import { done, fail, type SagaDefinition, saga, step, succeed } from '../../../src/define/saga.ts'
import { decide, type Input } from '../../../src/saga/decide.ts'
import type { Decision } from '../../../src/saga/decision.ts'
import type { Saga } from '../../../src/saga/saga.ts'
import '../../../schemas/events.generated.ts'

/** Nothing is called here: the tests say how calls went. */
const call = async () => done()

/** Two steps that can be undone around one that waits, one without undo, the pivot, and one step after it. */
export const enrollment: SagaDefinition = saga({
  name: 'enrollment',
  version: 1,
  startedBy: 'enrollment_requested',
  deadline: '1 day',
  effects: { connect: () => ({}) },
  steps: [
    step('seat', { call, undo: call }),
    step('payment', {
      call,
      undo: call,
      awaits: {
        payment_completed: succeed,
        payment_failed: fail,
        by: (event) => event.data.enrollmentId,
        within: '30 seconds',
      },
    }),
    step('note', { call }),
    step('crm', { call, undo: call }),
    step('confirm', { call, pivot: true }),
    step('welcome', { call }),
  ],
  compensated: ({ start: { data }, reason }) => [
    {
      type: 'enrollment_cancelled',
      data: { enrollmentId: data.enrollmentId, leadId: data.leadId, courseId: data.courseId, reason },
    },
  ],
})

const event = (type: string, data: Record<string, unknown>): DomainEvent => ({
  type,
  id: `event-${type}`,
  source: 'test',
  time: '2026-11-20T10:00:00.000Z',
  subject: 'E-1',
  data,
  topic: 'embudo.enrollments',
  partition: 0,
  offset: 0,
  appendedAtMs: 0,
  correlationId: undefined,
  causationId: undefined,
  traceparent: undefined,
})

export const paymentCompleted: Input = {
  is: 'received',
  event: event('payment_completed', { enrollmentId: 'E-1' }),
}
export const paymentFailed: Input = {
  is: 'received',
  event: event('payment_failed', { enrollmentId: 'E-1', reason: 'card_declined' }),
}

/** One saga, its clock, and all that came of it. Whoever would run its calls is the test. */
export class Simulation {
  readonly definition: SagaDefinition
  readonly ran: string[] = []
  readonly said: string[] = []
  readonly emitted: Decision['emit'][number][] = []
  saga: Saga
  nowMs = 0
  isRunning = false

  constructor(definition = enrollment) {
    this.definition = definition
    this.saga = {
      id: 'b132b17d-c991-890c-8ee4-ef2b8a19e130',
      type: definition.name,
      version: definition.version,
      subject: 'E-1',
      start: event('enrollment_requested', { enrollmentId: 'E-1', leadId: 'L-1', courseId: 'C-1' }),
      startedAtMs: 0,
      state: 'RUNNING',
      step: definition.steps[0]!.name,
      attempt: 0,
      failures: 0,
      undo: [],
      results: {},
      reason: null,
      waitUntilMs: null,
      dueAtMs: 0,
      endedAtMs: null,
    }
  }

  tell(...inputs: Input[]): this {
    for (const input of inputs) {
      const before = this.saga
      const decision = decide(this.definition, before, input, { nowMs: this.nowMs, random: () => 0.5 })
      this.saga = decision.saga
      this.isRunning = decision.run !== undefined
      this.said.push(...decision.journal.map(({ step, what }) => (step === null ? what : `${step} ${what}`)))
      this.emitted.push(...decision.emit)
      if (decision.run !== undefined) this.ran.push(`${decision.run.step.name} ${decision.run.kind}`)
    }
    return this
  }

  /** Lets time pass until the saga is due, and tells it so. */
  due(): this {
    this.nowMs = Math.max(this.nowMs, this.saga.dueAtMs ?? this.nowMs)
    return this.tell({ is: 'due' })
  }
}

export const went: Input = done()
export const threw: Input = { is: 'threw', error: 'lost connection' }
