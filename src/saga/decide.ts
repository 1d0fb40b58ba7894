import type { DomainEvent } from '../define/event.ts'
import type { Outcome, SagaDefinition } from '../define/saga.ts'
import type { Decision, Moment } from './decision.ts'
import { Draft } from './draft.ts'
import { retryDelayMs } from './retry-delay.ts'
import type { Saga } from './saga.ts'

/** What a saga is told. */
export type Input =
  /** Its time has come: to begin, to try again, to stop waiting; or whoever ran its step has died. */
  | { readonly is: 'due' }
  /** How the call or undo went that was last begun. */
  | Outcome
  | { readonly is: 'threw'; readonly error: string }
  /** An event that it awaits. */
  | { readonly is: 'received'; readonly event: DomainEvent }

/** A saga's next move. Pure. */
export const decide = (definition: SagaDefinition, saga: Saga, input: Input, moment: Moment): Decision => {
  const draft = new Draft(definition, saga, moment)
  if (saga.state === 'RUNNING') whileRunning(draft, input)
  else if (saga.state === 'WAITING') whileWaiting(draft, input)
  else if (saga.state === 'COMPENSATING') whileCompensating(draft, input)
  else draft.set({ dueAtMs: null })
  return { saga: draft.saga, journal: draft.journal, emit: draft.emit, run: draft.run }
}

/**
 * How often a call may be cut off before that counts as its failure: a process that is killed and started again
 * says nothing against the step, one that dies each time it makes this call does.
 */
const maxInterruptions = 10

const whileRunning = (draft: Draft, input: Input): Draft => {
  const { saga, step } = draft
  switch (input.is) {
    case 'due':
      if (!draft.isForwardOnly && draft.isPastDeadline) return compensate(draft, 'deadline passed')
      if (!draft.isForwardOnly && saga.attempt - saga.failures >= maxInterruptions) {
        return compensate(draft, `${step.name} was cut off ${maxInterruptions} times`)
      }
      return call(draft)
    case 'done':
      draft.note('done', { attempt: saga.attempt })
      draft.tell('call', input.emit)
      draft.set({ results: { ...saga.results, [step.name]: input.result } })
      return step.awaits === undefined ? advance(draft) : wait(draft)
    case 'refused':
      draft.note('refused', { attempt: saga.attempt, error: input.reason })
      if (draft.isPastPivot) return failed(draft, input.reason)
      // Refused means that nothing was done, so this step has nothing to take back.
      draft.set({ undo: saga.undo.filter((name) => name !== step.name) })
      return compensate(draft, input.reason)
    case 'threw':
      return failed(draft, input.error)
    case 'received':
      return draft
  }
}

const whileWaiting = (draft: Draft, input: Input): Draft => {
  const { step } = draft
  const verdict = input.is === 'received' ? step.awaits?.verdicts.get(input.event.type) : undefined
  if (input.is !== 'received' || verdict === undefined) {
    const isTimedOut = draft.moment.nowMs >= (draft.saga.waitUntilMs ?? 0)
    if (!isTimedOut && (draft.isForwardOnly || !draft.isPastDeadline))
      return draft.set({ dueAtMs: draft.wakeFromWait() })
    draft.note('timed out')
    if (draft.isForwardOnly) return failed(draft, 'no answer in time')
    return compensate(draft, isTimedOut ? `${step.name} had no answer in time` : 'deadline passed')
  }
  const outcome = verdict(input.event as DomainEvent<never>)
  draft.note(`received ${input.event.type}`, outcome.is === 'refused' ? { error: outcome.reason } : {})
  if (outcome.is === 'refused') {
    return draft.isPastPivot ? failed(draft, outcome.reason) : compensate(draft, outcome.reason)
  }
  draft.tell('received', outcome.emit)
  draft.set({ results: { ...draft.saga.results, [step.name]: outcome.result } })
  return advance(draft)
}

const whileCompensating = (draft: Draft, input: Input): Draft => {
  const { saga, step } = draft
  switch (input.is) {
    case 'due':
      if (saga.attempt - saga.failures >= maxInterruptions)
        return park(draft, `cut off ${maxInterruptions} times`)
      return undoLast(draft)
    case 'done':
      draft.note('undone', { attempt: saga.attempt })
      draft.tell('undo', input.emit)
      draft.set({ undo: saga.undo.slice(0, -1), attempt: 0, failures: 0 })
      return undoLast(draft)
    case 'threw':
    case 'refused': {
      const error = input.is === 'threw' ? input.error : input.reason
      const failures = saga.failures + 1
      if (failures < step.retry.attempts) return retry(draft, failures, error)
      draft.set({ failures })
      return park(draft, error)
    }
    case 'received':
      return draft
  }
}

const call = (draft: Draft): Draft => {
  const { saga, step } = draft
  const isToUndo = step.undo !== undefined && !saga.undo.includes(step.name)
  draft.set({ attempt: saga.attempt + 1, ...(isToUndo ? { undo: [...saga.undo, step.name] } : {}) })
  return draft.begin('call')
}

const wait = (draft: Draft): Draft => {
  draft.set({ state: 'WAITING', waitUntilMs: draft.moment.nowMs + (draft.step.awaits?.withinMs ?? 0) })
  draft.set({ dueAtMs: draft.wakeFromWait() })
  return draft.note('waiting')
}

const advance = (draft: Draft): Draft => {
  const next = draft.definition.steps[draft.index + 1]
  if (next === undefined) return draft.end('COMPLETED', 'completed')
  draft.set({ state: 'RUNNING', step: next.name, attempt: 0, failures: 0, waitUntilMs: null })
  return whileRunning(draft, { is: 'due' })
}

const failed = (draft: Draft, error: string): Draft => {
  const { saga, step } = draft
  const failures = saga.failures + 1
  if (draft.isForwardOnly || failures < step.retry.attempts) return retry(draft, failures, error)
  draft.note('failed', { attempt: saga.attempt, error })
  return compensate(draft, `${step.name} failed: ${error}`)
}

const retry = (draft: Draft, failures: number, error: string): Draft => {
  const { saga, step, moment } = draft
  draft.note('retrying', { attempt: saga.attempt, error })
  return draft.set({
    state: saga.state === 'WAITING' ? 'RUNNING' : saga.state,
    failures,
    waitUntilMs: null,
    dueAtMs: moment.nowMs + retryDelayMs(failures, step.retry, moment.random),
  })
}

const compensate = (draft: Draft, reason: string): Draft => {
  draft.note('compensating', { error: reason })
  draft.set({ state: 'COMPENSATING', reason, attempt: 0, failures: 0, waitUntilMs: null })
  return undoLast(draft)
}

const undoLast = (draft: Draft): Draft => {
  const { saga, definition } = draft
  const last = saga.undo.at(-1)
  if (last === undefined) {
    draft.tell('compensated', definition.compensated?.(draft.compensatedContext()) ?? [])
    return draft.end('COMPENSATED', 'compensated')
  }
  draft.set({ step: last, attempt: saga.attempt + 1 })
  return draft.begin('undo')
}

/** Nothing more is done until an operator says what; the alert makes sure that one hears of it. */
const park = (draft: Draft, error: string): Draft => {
  const { id, type, subject, step, attempt } = draft.saga
  draft.note('compensation failed', { attempt, error })
  draft.set({ state: 'COMPENSATION_FAILED', dueAtMs: null })
  const message = `saga ${type} of ${subject} (${id}): ${step} could not be undone: ${error}`
  return draft.tell('parked', [
    { type: 'system_alert', data: { alertId: id, alertType: 'saga_parked', severity: 'critical', message } },
  ])
}
