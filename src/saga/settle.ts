import type { PoolClient } from 'pg'
import { messageOf } from '../define/error.ts'
import type { SagaDefinition } from '../define/saga.ts'
import type { Appender } from './appender.ts'
import { decide, type Input } from './decide.ts'
import type { Decision, Moment } from './decision.ts'
import type { Saga } from './saga.ts'
import { type Claimed, databaseNowMs, markApplied, nextMail, writeSagas } from './store.ts'

/** What is to be settled: a saga whose row is locked, and what it is told. */
export interface Told {
  readonly claimed: Claimed
  readonly input: Input
}

export interface Settled {
  readonly decision: Decision
  readonly claim: number
  /** By Postgres's clock: the one that all processes go by. */
  readonly nowMs: number
}

export interface SettleParts {
  readonly definitionOf: (saga: Saga) => SagaDefinition
  readonly appender: Pick<Appender, 'check'>
  readonly random: () => number
  readonly leaseMs: number
}

/** Decides and stores, in the caller's transaction. Sagas that wait, or come to wait, first look into the inbox. */
export const settle = async (
  client: PoolClient,
  told: readonly Told[],
  parts: SettleParts,
): Promise<Settled[]> => {
  if (told.length === 0) return []
  const moment: Moment = { nowMs: await databaseNowMs(client), random: parts.random }
  const decideFor = (saga: Saga, input: Input): Decision =>
    decideSafely(parts.definitionOf(saga), saga, input, moment, parts.appender)
  const lookForMail = (sagas: readonly Saga[]) =>
    nextMail(
      client,
      sagas.map((saga) => ({ id: saga.id, types: awaitedBy(parts.definitionOf(saga), saga) })),
    )

  const early = await lookForMail(told.map(({ claimed }) => claimed.saga).filter(isWaiting))
  const first = told.map(({ claimed, input }) => {
    const event = early.get(claimed.saga.id)
    const decision = decideFor(claimed.saga, event === undefined ? input : { is: 'received', event })
    return {
      decision,
      claim: claimed.claim,
      cameToWait: isWaiting(decision.saga) && !isWaiting(claimed.saga),
    }
  })

  const late = await lookForMail(
    first.filter(({ cameToWait }) => cameToWait).map(({ decision }) => decision.saga),
  )
  const settled = first.map(({ decision, claim }): Settled => {
    const event = late.get(decision.saga.id)
    const last =
      event === undefined ? decision : joined(decision, decideFor(decision.saga, { is: 'received', event }))
    return { decision: last, claim, nowMs: moment.nowMs }
  })

  await markApplied(client, new Map([...early, ...late]))
  await writeSagas(client, settled, parts.leaseMs)
  return settled
}

/**
 * A saga whose own code throws where it must not, or whose events the log could never take, is treated as failed;
 * where that throws too, it is parked. The others of its transaction are none the worse.
 */
const decideSafely = (
  definition: SagaDefinition,
  saga: Saga,
  input: Input,
  moment: Moment,
  appender: Pick<Appender, 'check'>,
): Decision => {
  const decideAndCheck = (told: Input): Decision => {
    const decision = decide(definition, saga, told, moment)
    JSON.stringify(decision.saga.results)
    for (const { event } of decision.emit) appender.check(event)
    return decision
  }
  try {
    return decideAndCheck(input)
  } catch (first) {
    try {
      if (input.is === 'threw' || saga.state === 'WAITING') throw first
      return decideAndCheck({ is: 'threw', error: messageOf(first) })
    } catch (error) {
      const parked = { step: saga.step, what: 'parked', attempt: saga.attempt, error: messageOf(error) }
      return {
        saga: { ...saga, state: 'COMPENSATION_FAILED', dueAtMs: null },
        journal: [parked],
        emit: [],
        run: undefined,
      }
    }
  }
}

const joined = (first: Decision, second: Decision): Decision => ({
  ...second,
  journal: [...first.journal, ...second.journal],
  emit: [...first.emit, ...second.emit],
})

const isWaiting = (saga: Saga): boolean => saga.state === 'WAITING'

const awaitedBy = (definition: SagaDefinition, saga: Saga): string[] => [
  ...(definition.steps.find(({ name }) => name === saga.step)?.awaits?.verdicts.keys() ?? []),
]
