import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import { problemOf } from './problem.ts'
import { type Route, route } from './route.ts'

export interface RepairOperations {
  /** Throws `unknown_projection`, `not_repairable`, `log_beginning_lost`, `log_changed`, `repair_disturbed`. */
  repair(
    name: string,
    what: { readonly subjects: readonly string[] } | { readonly from: string; readonly to: string },
    watch: { readonly signal: AbortSignal; readonly onProgress: (progress: Progress) => void },
  ): Promise<Omit<z.input<typeof repairedSchema>, 'seconds'>>
}

interface Progress {
  readonly read: number
  readonly total: number
}

const subjectsSchema = z.strictObject({
  subjects: z
    .array(
      z
        .string()
        .min(1)
        .max(1_024)
        .refine((text) => text.isWellFormed() && !text.includes('\0'), 'expected text without NUL'),
    )
    .min(1)
    .max(10_000)
    .meta({ description: 'Whose rows are folded again.' }),
})

const instant = z.iso
  .datetime({ offset: true, error: 'expected an RFC 3339 time, for example 2026-11-20T10:00:00Z' })
  .transform((text) => new Date(text).toISOString())

const rangeSchema = z.strictObject({
  from: instant.meta({
    format: 'date-time',
    description: 'Rows of all subjects that have events that happened then or later,',
  }),
  to: instant.meta({ format: 'date-time', description: 'and before then.' }),
})

const repairedSchema = z.object({
  name: z.string(),
  subjects: z.int().meta({ description: 'Whose rows were folded again.' }),
  changed: z.int().meta({ description: 'Rows that were not what the log says, over all generations.' }),
  seconds: z.number(),
  failed: z
    .array(z.object({ key: z.string(), code: z.string(), detail: z.string() }))
    .readonly()
    .meta({ description: 'Rows that cannot be folded or stored, left as they are; the first hundred.' }),
})

/**
 * A repair of much history takes minutes. Its answer begins once it has taken some seconds, with white space, which
 * JSON allows and which keeps servers and proxies from closing the connection.
 */
export const repairRoutes = (
  operations: RepairOperations,
  { aliveEveryMs = 10_000, progressEveryMs = 500 } = {},
): Route[] => {
  let isRepairing = false
  return [
    route({
      method: 'post',
      path: '/api/projections/{name}/repair',
      tag: 'Projections',
      summary: 'Fold the rows of some subjects again from the log',
      description: `Those that differ are replaced, while the projection goes on. The log is read from its start: that takes seconds to minutes, and the answer comes at the end. A connection that is closed before ends the repair; doing it again is safe. One at a time in a process. With \`Accept: application/x-ndjson\` the answer is a line of progress now and then, \`{"read","total"}\` in records of the log, and at the end a line with the result or \`{"error": <problem>}\`.`,
      params: z.object({
        name: z.string().meta({ description: 'Of a read model or tally.', example: 'lead_profile' }),
      }),
      takesJson: true,
      document: {
        requestBody: {
          required: true,
          content: {
            'application/json': {
              schema: z.union([subjectsSchema, rangeSchema]),
              examples: {
                subjects: { value: { subjects: ['L-1', 'L-2'] } },
                time: { value: { from: '2026-11-20T10:00:00Z', to: '2026-11-20T11:00:00Z' } },
              },
            },
          },
        },
      },
      answers: {
        200: {
          description: 'The rows are what the log says',
          schema: repairedSchema,
          example: { name: 'lead_profile', subjects: 2, changed: 1, seconds: 1.2, failed: [] },
        },
      },
      problems: [404, 408, 409, 413, 415, 422, 429, 503],
      handle: async ({ params: { name }, body, headers }) => {
        const what = whatOf(body)
        if (isRepairing) {
          throw new EmbudoError('repair_running', 'a repair is running in this process: try again later')
        }
        isRepairing = true
        const asLines = headers.accept?.includes('application/x-ndjson') === true
        const startedAt = performance.now()
        const work: Work = async (watch) => ({
          ...(await operations.repair(name, what, watch)),
          seconds: Math.round(performance.now() - startedAt) / 1_000,
        })
        const pieces = asLines ? lines(work, progressEveryMs) : document(work, aliveEveryMs)
        return {
          contentType: asLines ? 'application/x-ndjson' : 'application/json',
          pieces: lastly(pieces, () => {
            isRepairing = false
          }),
        }
      },
    }),
  ]
}

const whatOf = (body: unknown) => {
  const schema =
    typeof body === 'object' && body !== null && 'subjects' in body ? subjectsSchema : rangeSchema
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  const field = path.map((part) => `/${String(part)}`).join('')
  throw new EmbudoError(
    'invalid_repair',
    `${field}: ${message}; expected {"subjects": [...]} or {"from", "to"}`,
    { facts: { field, invalid: true } },
  )
}

type Work = (watch: {
  readonly signal: AbortSignal
  readonly onProgress: (progress: Progress) => void
}) => Promise<unknown>

async function* document(work: Work, everyMs: number): AsyncGenerator<string, void, void> {
  yield* untilDone(work, everyMs, () => ' ')
}

/** An error that comes behind the first line is a line itself: the status has been told. */
async function* lines(work: Work, everyMs: number): AsyncGenerator<string, void, void> {
  let hasBegun = false
  try {
    for await (const piece of untilDone(work, everyMs, (progress) => `${JSON.stringify(progress)}\n`)) {
      yield piece
      hasBegun = true
    }
    yield '\n'
  } catch (error) {
    if (!hasBegun) throw error
    yield `${JSON.stringify({ error: problemOf(error) })}\n`
  }
}

/** Ends the work where nobody waits for it any more. */
async function* untilDone(
  work: Work,
  everyMs: number,
  meanwhile: (progress: Progress) => string,
): AsyncGenerator<string, void, void> {
  const abort = new AbortController()
  let progress: Progress = { read: 0, total: 0 }
  const working = work({
    signal: abort.signal,
    onProgress: (latest) => {
      progress = latest
    },
  })
  const done = working.then(() => true)
  try {
    for (;;) {
      const waiting = new AbortController()
      const patience = delay(everyMs, false, { signal: waiting.signal })
      patience.catch(() => {})
      try {
        if (await Promise.race([done, patience])) break
      } finally {
        waiting.abort()
      }
      yield meanwhile(progress)
    }
    yield JSON.stringify(await working)
  } finally {
    abort.abort()
    // Of work that nobody waits for.
    done.catch(() => {})
  }
}

async function* lastly<T>(
  pieces: AsyncGenerator<T, void, void>,
  then: () => void,
): AsyncGenerator<T, void, void> {
  try {
    yield* pieces
  } finally {
    then()
  }
}
