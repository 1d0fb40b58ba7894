import { startProcess } from './product.ts'
import type { Limit, Measure } from './report.ts'
import type { Setting } from './setting.ts'
import { runTask } from './task.ts'
import type { ReadableInput, ReadableResult } from './tasks/readable.ts'
import { cpuNoteOf, memoryLimit, watchCost } from './worker-cost.ts'

const perSecond = 1_000
const warmUpMs = 2_000

/** How soon after it is sent an event can be read, with all projections on and nothing to catch up with. */
export const readableMeasure = async (
  { parts, size, http, leads, progress }: Setting,
  model: string,
  untilIdle: () => Promise<void>,
): Promise<Measure[]> => {
  await using worker = await startProcess('worker', parts)
  await untilIdle()
  progress('from sending to reading, at a fixed rate')
  const costOf = watchCost(worker.pid, parts)
  const { events, failed, answered, postgres, clickhouse } = await runTask<ReadableInput, ReadableResult>(
    'readable',
    {
      port: Number(new URL(http.address).port),
      connections: 16,
      perSecond,
      warmUpMs,
      measureMs: size.readableMs,
      topic: leads,
      model,
      databaseUrl: parts.addresses.databaseUrl,
      clickhouseUrl: parts.addresses.clickhouseUrl,
    },
  )
  const cost = costOf(((warmUpMs + size.readableMs) / 1000) * perSecond)
  const note = [
    `answered with 202 after p50 ${answered.p50Ms.toFixed(1)} ms, p99 ${answered.p99Ms.toFixed(1)} ms`,
    cpuNoteOf([cost]),
    ...(failed > 0 ? [`${failed} not accepted`] : []),
  ]
    .filter(Boolean)
    .join('; ')
  const measure = (store: string, limits: readonly Limit[]): Measure => ({
    name: `from sending to reading in ${store}, at ${perSecond.toLocaleString('en')}/s`,
    product: [events / (size.readableMs / 1000)],
    note,
    baselines: [],
    limits,
  })
  const latency = (name: string, value: number, below?: number): Limit => ({
    name,
    unit: 'ms',
    values: [value],
    below,
  })
  return [
    measure('Postgres', [
      latency('p50', postgres.p50Ms, 25),
      latency('p99', postgres.p99Ms, 100),
      memoryLimit([cost]),
    ]),
    measure('ClickHouse', [latency('p50', clickhouse.p50Ms), latency('p99', clickhouse.p99Ms, 1_500)]),
  ]
}
