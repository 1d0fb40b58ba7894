import { performance } from 'node:perf_hooks'
import { taskInput, tell } from '../task.ts'
import { type Latencies, latenciesOf } from './latencies.ts'
import { type SteadyRate, sendSteadily } from './steady-requests.ts'

export interface SteadyLoadResult extends Latencies {
  readonly perSecond: number
  /** Answers other than 202. */
  readonly failed: number
}

/** How soon single events at a fixed rate are answered. */
const input = taskInput<SteadyRate>()
const answeredIn: number[] = []
let failed = 0
let firstDueMs = Number.POSITIVE_INFINITY
await sendSteadily(input, ({ dueMs, isWarmUp, status }) => {
  if (isWarmUp) return
  firstDueMs = Math.min(firstDueMs, dueMs)
  answeredIn.push(performance.now() - dueMs)
  if (status !== 202) failed += 1
})
const seconds = (performance.now() - firstDueMs) / 1000
tell({
  perSecond: answeredIn.length / seconds,
  ...latenciesOf(answeredIn),
  failed,
} satisfies SteadyLoadResult)
