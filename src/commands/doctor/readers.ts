import * as z from 'zod'
import { messageOf } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'
import { count } from '../output.ts'
import { serverAt } from '../server.ts'
import { type Check, fail, ok, warn } from './check.ts'

/** What the running program says of its projections, its dead letters, and whether everything adds up. */
export const checkReaders = async (context: CommandContext): Promise<Check[]> => {
  const { get } = serverAt(context, undefined)
  const look = async (name: string, path: string, check: (answer: unknown) => Check): Promise<Check> => {
    try {
      return check(await get(path))
    } catch (error) {
      return warn(name, messageOf(error), `GET ${path} should answer; \`/health\` shows how the parts are`)
    }
  }
  return await Promise.all([
    look('projections', '/api/projections', checkProjections),
    look('dead letters', '/api/dead-letters?state=open&limit=1000', checkDeadLetters),
    look('completeness', '/api/reconciliation', checkCompleteness),
  ])
}

const projectionsSchema = z.looseObject({
  items: z.array(z.looseObject({ name: z.string(), state: z.string() })),
})

const checkProjections = (answer: unknown): Check => {
  const { items } = projectionsSchema.parse(answer)
  const amiss = items.filter(({ state }) => state === 'failed' || state === 'stalled')
  if (amiss.length === 0) return ok('projections', `${items.length}, none stands still`)
  return fail(
    'projections',
    amiss.map(({ name, state }) => `${name} ${state}`).join(', '),
    'GET /api/projections says why a partition has failed; where one is stalled look whether a worker runs and its store answers',
  )
}

const lettersSchema = z.looseObject({ items: z.array(z.unknown()), nextCursor: z.string().nullish() })

const checkDeadLetters = (answer: unknown): Check => {
  const { items, nextCursor } = lettersSchema.parse(answer)
  if (items.length === 0) return ok('dead letters', 'none waits')
  return warn(
    'dead letters',
    `${nextCursor ? 'more than ' : ''}${items.length} wait`,
    '`npx embudo dead-letters list` shows them and why; edit, retry or discard them',
  )
}

const reconciliationSchema = z.looseObject({
  notCounted: z.string().nullable(),
  items: z.array(z.looseObject({ read: z.number(), mismatches: z.array(z.unknown()) })),
})

const checkCompleteness = (answer: unknown): Check => {
  const { notCounted, items } = reconciliationSchema.parse(answer)
  const amiss = items.filter(({ mismatches }) => mismatches.length > 0).length
  const mend = '`npx embudo reconcile --partitions` shows where'
  if (amiss > 0) return fail('completeness', `${amiss} of ${items.length} partitions do not add up`, mend)
  if (notCounted !== null) return warn('completeness', `ClickHouse was not counted: ${notCounted}`, mend)
  const read = items.reduce((sum, item) => sum + item.read, 0)
  return ok('completeness', `${count(read)} records read by all readers, every one accounted for`)
}
