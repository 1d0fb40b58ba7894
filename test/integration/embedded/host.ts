import { parseArgs } from 'node:util'
import { EmbudoError, messageOf } from '../../../src/define/error.ts'
import type { PartName } from '../../../src/embedded/part.ts'
import { startEmbedded } from '../../../src/embedded/start.ts'

/** A program that holds embedded parts, for tests to stop, to kill and to start a second time. */
const { values } = parseArgs({
  options: {
    data: { type: 'string', default: '' },
    patience: { type: 'string', default: '30000' },
    parts: { type: 'string', default: 'kafka,registry,postgres,clickhouse' },
  },
})
try {
  await using parts = await startEmbedded({
    dataDir: values.data,
    leftoverPatienceMs: Number(values.patience),
    parts: new Set(values.parts.split(',') as PartName[]),
  })
  const told = new Promise((resolve) => process.once('SIGTERM', resolve))
  process.stdout.write(`${JSON.stringify({ addresses: parts.addresses, pids: parts.pids })}\n`)
  const died = await Promise.race([told, parts.died])
  if (died instanceof EmbudoError) throw died
} catch (error) {
  const code = error instanceof EmbudoError ? error.code : 'unknown'
  process.stdout.write(`${JSON.stringify({ code, message: messageOf(error) })}\n`)
  process.exitCode = 1
}
