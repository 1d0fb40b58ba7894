import { loadavg } from 'node:os'
import { env } from 'node:process'
import { parseArgs } from 'node:util'
import { ingestMeasures } from './ingest-measures.ts'
import { logMeasures } from './log-measures.ts'
import { startParts } from './parts.ts'
import { projectionMeasures } from './projection-measures.ts'
import { type Measure, type Report, reportOf, tableOf } from './report.ts'
import { type Setting, type Size, sizes, startSetting } from './setting.ts'

/**
 * Throughput and latency of the program's own processes, each beside what it is compared with, measured in
 * turns in the same run on the same parts: a busy machine slows both.
 *
 *     make bench ARGS="--quick"          under 2 minutes; without it under 8
 *     make bench ARGS="--json"           for programs
 *     make bench ARGS="--only ingest"    log, ingest or project
 */
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    only: { type: 'string', multiple: true },
  },
})
const size: Size = values.quick ? sizes.quick : sizes.full
const progress = (text: string): void => void process.stderr.write(`${text}\n`)
const wants = (part: string): boolean => values.only === undefined || values.only.includes(part)

// kafkajs, which a baseline and the embedded Kafka use, makes Node warn of negative timeouts.
process.removeAllListeners('warning')

/** Undefined where it was interrupted: what it had made on parts that stay is taken away also then. */
const run = async (): Promise<Report | undefined> => {
  const begun = { at: new Date(), load: loadavg()[0] ?? 0 }
  const interrupted = Promise.withResolvers<undefined>()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => interrupted.resolve(undefined))
  }
  await using parts = await startParts(env, progress)
  await using setting = await startSetting(parts, size, progress)
  const measuring = measureAll(setting)
  measuring.catch(() => {})
  const measures = await Promise.race([measuring, interrupted.promise])
  return measures === undefined ? undefined : reportOf(measures, command, begun)
}

const measureAll = async (setting: Setting): Promise<Measure[]> => [
  ...(wants('log') ? await logMeasures(setting) : []),
  ...(wants('ingest') ? await ingestMeasures(setting) : []),
  ...(wants('project') ? await projectionMeasures(setting) : []),
]

const command = `make bench${process.argv.length > 2 ? ` ARGS="${process.argv.slice(2).join(' ')}"` : ''}`
const report = await run()
if (report === undefined) process.exit(130)
process.stdout.write(
  values.json ? `${JSON.stringify(report, undefined, 2)}\n` : `${report.machine}\n${tableOf(report)}\n`,
)
