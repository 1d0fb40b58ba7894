import { median } from './median.ts'
import { startProcess } from './product.ts'
import type { Measure } from './report.ts'
import type { Setting } from './setting.ts'
import { runTask } from './task.ts'
import type { SteadyLoadResult } from './tasks/steady-load.ts'
import type { SteadyRate } from './tasks/steady-requests.ts'

const rate = 2_000

/** Whether who sends events notices that a worker process rebuilds a projection at full speed beside it. */
export const latencyMeasure = async (
  { parts, size, progress, rounds }: Setting,
  beginRebuild: () => Promise<unknown>,
): Promise<Measure> => {
  // Topics of its own, so that readers have the same work whatever the rate was.
  await using http = await startProcess('http', { ...parts, prefix: `${parts.prefix}latency.` })
  await using _worker = await startProcess('worker', parts)
  const port = Number(new URL(http.address).port)
  const load = async (): Promise<SteadyLoadResult> =>
    await runTask<SteadyRate, SteadyLoadResult>('steady-load', {
      port,
      connections: 16,
      perSecond: rate,
      warmUpMs: size.warmUpMs,
      measureMs: size.steadyMs,
    })

  progress('single events at a fixed rate')
  // Two processes have just started: not part of what is asked.
  await load()
  const idle: SteadyLoadResult[] = []
  const beside: SteadyLoadResult[] = []
  for (const _ of rounds('single events at a fixed rate, beside a rebuild', 25_000)) {
    idle.push(await load())
    await beginRebuild()
    beside.push(await load())
  }
  const figure = (results: readonly SteadyLoadResult[], of: (result: SteadyLoadResult) => number): number =>
    median(results.map(of))
  const noted = (results: readonly SteadyLoadResult[]): string =>
    `p50 ${figure(results, ({ p50Ms }) => p50Ms).toFixed(1)} ms, p99 ${figure(results, ({ p99Ms }) => p99Ms).toFixed(1)} ms`
  const times = figure(beside, ({ p99Ms }) => p99Ms) / figure(idle, ({ p99Ms }) => p99Ms)
  return {
    name: `ingest at ${rate.toLocaleString('en')}/s while lead_profile is rebuilt, 16 connections`,
    product: beside.map(({ perSecond }) => perSecond),
    note: `${noted(beside)}: ${times.toFixed(1)} x`,
    baselines: [
      {
        name: 'the same while nothing else is done',
        perSecond: idle.map(({ perSecond }) => perSecond),
        note: noted(idle),
      },
    ],
  }
}
