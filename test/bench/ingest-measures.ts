import { cpuMicrosOf, cpuNote } from './cpu.ts'
import { median } from './median.ts'
import { startProcess } from './product.ts'
import type { Baseline, Measure } from './report.ts'
import type { Setting } from './setting.ts'
import { runTask, startTask } from './task.ts'
import type { LoadInput, LoadResult } from './tasks/load.ts'
import type { UsualHandlerInput } from './tasks/usual-handler.ts'

interface Kind {
  readonly name: string
  readonly connections: number
  readonly eventsPerRequest: number
  readonly aim: number
  /** How many times as fast as the baselines, in their order. */
  readonly times: readonly number[]
}

const kinds: readonly Kind[] = [
  {
    name: 'ingest, one event a request, 64 connections',
    connections: 64,
    eventsPerRequest: 1,
    aim: 12_000,
    times: [3, 6],
  },
  {
    name: 'ingest, NDJSON of 500 events a request, 8 connections',
    connections: 8,
    eventsPerRequest: 500,
    aim: 120_000,
    times: [3.5],
  },
]

export const ingestMeasures = async ({
  parts,
  brokers,
  schemaId,
  size,
  newTopic,
  rounds,
}: Setting): Promise<Measure[]> => {
  const usual = async (isIdempotent: boolean) => {
    const topic = await newTopic(isIdempotent ? 'usual-idempotent' : 'usual-plain')
    return await startTask<UsualHandlerInput, { port: number }>('usual-handler', {
      brokers,
      topic,
      schemaId,
      isIdempotent,
    })
  }
  // Topics of its own, so that readers have the same work whatever the rate was.
  await using http = await startProcess('http', { ...parts, prefix: `${parts.prefix}ingest.` })
  await using plain = await usual(false)
  await using idempotent = await usual(true)
  const contenders = [
    { name: 'embudo', port: Number(new URL(http.address).port), pid: http.pid },
    { name: 'Express, zod, avsc, kafkajs', port: plain.result.port, pid: plain.pid },
    { name: 'the same, idempotent producer', port: idempotent.result.port, pid: idempotent.pid },
  ]

  const measures: Measure[] = []
  for (const { name, connections, eventsPerRequest, aim, times } of kinds) {
    const results = contenders.map((): Round[] => [])
    for (const _ of rounds(name, 50_000)) {
      for (const [at, { port, pid }] of contenders.entries()) {
        const load = {
          port,
          connections,
          eventsPerRequest,
          warmUpMs: size.warmUpMs,
          measureMs: size.measureMs,
        }
        const before = cpuMicrosOf(pid)
        const result = await runTask<LoadInput, LoadResult>('load', load)
        const after = cpuMicrosOf(pid)
        const cpuMicros =
          before === undefined || after === undefined ? undefined : (after - before) / result.events
        results[at]!.push({ ...result, cpuMicros })
      }
    }
    const [product, ...baselines] = contenders.map(
      (contender, at): Baseline => ({
        name: contender.name,
        perSecond: results[at]!.map(({ eventsPerSecond }) => eventsPerSecond),
        note: latencyNote(results[at]!),
        ...(times[at - 1] === undefined ? {} : { aim: times[at - 1]! }),
      }),
    )
    measures.push({ name, aim, product: product!.perSecond, note: product!.note, baselines })
  }
  return measures
}

interface Round extends LoadResult {
  readonly cpuMicros: number | undefined
}

const latencyNote = (rounds: readonly Round[]): string => {
  const figure = (of: (round: LoadResult) => number) => median(rounds.map(of)).toFixed(1)
  const failed = rounds.reduce((sum, round) => sum + round.failed, 0)
  return [
    `p50 ${figure((round) => round.p50Ms)} ms, p99 ${figure((round) => round.p99Ms)} ms`,
    cpuNote(rounds),
    failed > 0 ? `${failed} not accepted` : undefined,
  ]
    .filter((part) => part !== undefined)
    .join('; ')
}
