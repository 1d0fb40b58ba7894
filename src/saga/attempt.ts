import { messageOf } from '../define/error.ts'
import type { Outcome, SagaDefinition } from '../define/saga.ts'
import type { Input } from './decide.ts'
import type { Run } from './decision.ts'
import { idempotencyKeyOf } from './deterministic-id.ts'
import type { Saga } from './saga.ts'

/**
 * Runs one call or undo, and says how it went. It is given up when `signal` aborts or its time is over; what it
 * may still do then is done under the same key as the next attempt.
 */
export const attempt = async (ports: unknown, saga: Saga, run: Run, signal: AbortSignal): Promise<Input> => {
  const { step, kind, idempotencyKey } = run
  const limit = new AbortController()
  const giveUp = (): void => limit.abort(signal.reason)
  signal.addEventListener('abort', giveUp, { once: true })
  const timer = setTimeout(
    () => limit.abort(new Error(`no answer within ${step.retry.timeoutMs} ms`)),
    step.retry.timeoutMs,
  )
  try {
    const context = {
      ports,
      saga: { id: saga.id, subject: saga.subject, startedAt: new Date(saga.startedAtMs).toISOString() },
      start: saga.start as StartOf,
      results: saga.results,
      idempotencyKey,
      attempt: saga.attempt,
      signal: limit.signal,
    }
    const running =
      kind === 'call' || step.undo === undefined
        ? step.call(context)
        : step.undo({
            ...context,
            undoes: idempotencyKeyOf(saga.id, step.name, 'call'),
            reason: saga.reason ?? '',
          })
    return await Promise.race([running, rejectionOf(limit.signal)])
  } catch (error) {
    return { is: 'threw', error: messageOf(error) }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', giveUp)
  }
}

type StartOf = Parameters<SagaDefinition['steps'][number]['call']>[0]['start']

const rejectionOf = (signal: AbortSignal): Promise<Outcome> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
