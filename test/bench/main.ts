import { loadavg } from 'node:os'
import { env } from 'node:process'
import { parseArgs } from 'node:util'
import { ingestMeasures } from './ingest-measures.ts'
import { logMeasures } from './log-measures.ts'
import { startParts } from './parts.ts'
import { projectionMeasures, workerProfiles } from './projection-measures.ts'
import { type Begun, type Measure, reportOf, tableOf } from './report.ts'
import { type Setting, type Size, sizes, startSetting } from './setting.ts'

/**
 * Throughput and latency of the program's own processes, each beside what it is compared with, measured in
 * turns in the same run on the same parts: a busy machine slows both.
 *
 *     make bench ARGS="--quick"          under 2 minutes; without it under 8
 *     make bench ARGS="--json"           for programs
 *     make bench ARGS="--only ingest"    log, ingest or project
 *     make bench ARGS="--profile"        no figures: where the worker process spends its time
 */
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    profile: { type: 'boolean' },
    only: { type: 'string', multiple: true },
  },
})
const size: Size = { ...(values.quick ? sizes.quick : sizes.full), ...(values.profile ? { rounds: 1 } : {}) }
const isProfiled = values.profile ?? false
const progress = (text: string): void => void process.stderr.write(`${text}\n`)
const wants = (part: string): boolean => values.only === undefined || values.only.includes(part)

// kafkajs, which a baseline and the embedded Kafka use, makes Node warn of negative timeouts.
process.removeAllListeners('warning')

/** Undefined where it was interrupted: what it had made on parts that stay is taken away also then. */
const run = async (): Promise<string | undefined> => {
  const begun = { at: new Date(), load: loadavg()[0] ?? 0 }
  const interrupted = Promise.withResolvers<undefined>()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => interrupted.resolve(undefined))
  }
  await using parts = await startParts(env, progress)
  await using setting = await startSetting(parts, { size, isProfiled }, progress)
  const telling = isProfiled ? workerProfiles(setting) : reported(setting, begun)
  telling.catch(() => {})
  return await Promise.race([telling, interrupted.promise])
}

const reported = async (setting: Setting, begun: Begun): Promise<string> => {
  const report = reportOf(await measureAll(setting), command, begun)
  return values.json ? JSON.stringify(report, undefined, 2) : `${report.machine}\n${tableOf(report)}`
}

const measureAll = async (setting: Setting): Promise<Measure[]> => [
  ...(wants('log') ? await logMeasures(setting) : []),
  ...(wants('ingest') ? await ingestMeasures(setting) : []),
  ...(wants('project') ? await projectionMeasures(setting) : []),
]

const command = `make bench${process.argv.length > 2 ? ` ARGS="${process.argv.slice(2).join(' ')}"` : ''}`
const report = await run()
if (report === undefined) process.exit(130)
process.stdout.write(`${report}\n`)
