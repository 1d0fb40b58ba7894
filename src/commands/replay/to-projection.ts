import { EmbudoError } from '../../define/error.ts'
import { repairProjection } from '../../projection/repair.ts'
import type { CommandContext } from '../context.ts'
import { type OpenHistory, openPostgres } from '../open-history.ts'
import type { Target } from './target.ts'

/** The subjects that were replayed are folded again from the log's start, so that nothing counts twice. */
export const toProjection = (name: string, history: OpenHistory, context: CommandContext): Target => {
  const subjects = new Set<string>()
  return {
    async take(records) {
      for (const { key } of records) if (key !== null) subjects.add(key.toString('utf8'))
      if (subjects.size > maxSubjects) {
        throw new EmbudoError(
          'repair_too_large',
          `these are events of more than ${maxSubjects} subjects: rebuild ${name} instead`,
        )
      }
    },
    async end() {
      if (subjects.size === 0) return { subjects: 0, changed: 0, failed: [] }
      await using pool = openPostgres(context)
      const what = { subjects: [...subjects] }
      const { signal } = context
      const { changed, failed } = await repairProjection({ ...history, pool }, name, what, { signal })
      return { subjects: subjects.size, changed, failed }
    },
  }
}

const maxSubjects = 500_000
