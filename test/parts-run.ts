import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbedded } from '../src/embedded/start.ts'

/**
 * Keeps embedded parts running while one works: prints their addresses as one line of JSON and stays until it is
 * told to end. With `EMBUDO_TEST_PARTS` set to that line, test runs use these and start none.
 *
 *     node test/parts-run.ts --data /tmp/embudo-parts
 */
const { values } = parseArgs({ options: { data: { type: 'string', default: '.embudo-test' } } })
await using parts = await startEmbedded({
  dataDir: resolve(values.data),
  parts: new Set(['kafka', 'registry', 'postgres', 'clickhouse']),
  progress: ({ part, what }) => process.stderr.write(`${part}: ${what}\n`),
})
process.stdout.write(`${JSON.stringify(parts.addresses)}\n`)

const told = new Promise<string>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal))
})
const reason = await Promise.race([told, parts.died])
process.stderr.write(`${reason instanceof Error ? reason.message : reason}: stopping\n`)
if (reason instanceof Error) process.exitCode = 1
