import * as z from 'zod'

/** Why the server did not take an event. */
export interface RefusedEvent {
  readonly code: string
  readonly field: string
  readonly detail: string
}

/** What an answer to a batch means for its lines, by their index. */
export type Verdict =
  | {
      readonly is: 'answered'
      readonly accepted: readonly number[]
      readonly rejected: ReadonlyMap<number, RefusedEvent>
      /** To be sent again with the same ids, in this order. */
      readonly again: readonly number[]
      readonly position: string | undefined
      /** More lines were refused than the answer names; they are among those to be sent again. */
      readonly hasMoreErrors: boolean
    }
  /** No line has its answer. `because` is for a person. */
  | {
      readonly is: 'unknown'
      readonly because: string
      readonly waitMs: number | undefined
      /** Some of the lines may stand in the log all the same. */
      readonly mayHaveReached: boolean
    }
  /** Nothing was taken: something on the way takes no request as large as this one. */
  | { readonly is: 'too large' }
  /** Nothing was taken, and it is not about any one line: trying again will not help. */
  | { readonly is: 'refused'; readonly code: string; readonly detail: string }

export interface Answer {
  readonly status: number
  readonly body: unknown
  /** How long it asks to wait. */
  readonly askedMs: number | undefined
  readonly position: string | null
}

/** Pure: the whole protocol of POST /api/events as its caller sees it. */
export const judge = ({ status, body, askedMs, position }: Answer, lines: number): Verdict => {
  const batch = batchAnswer.safeParse(body)
  if (batch.success) return judgeBatch(batch.data, lines, position ?? undefined)
  if (status === 413) return { is: 'too large' }
  const problem = problemAnswer.safeParse(body).data
  const detail = problem?.detail ?? `status ${status}`
  if (status === 429 || status === 408 || status >= 500) {
    return { is: 'unknown', because: detail, waitMs: askedMs, mayHaveReached: status !== 429 }
  }
  return { is: 'refused', code: problem?.code ?? 'unexpected_answer', detail }
}

const judgeBatch = (
  answer: z.output<typeof batchAnswer>,
  lines: number,
  position: string | undefined,
): Verdict => {
  const known = answer.stoppedAt ?? lines
  const errors = new Map(answer.errors.map(({ index, ...error }) => [index, error]))
  const indexes = [...Array(lines).keys()]
  const accepted = indexes.filter((index) => index < known && !errors.has(index))
  // Of so many errors not all are told: who else was refused is learned by asking again, in smaller batches.
  if (answer.errorsOmitted > 0) {
    const rejected = indexes.flatMap((index) => {
      const error = errors.get(index)
      return error === undefined || error.retriable ? [] : [[index, error] as const]
    })
    const again = indexes.filter((index) => errors.get(index)?.retriable !== false)
    return { is: 'answered', accepted: [], rejected: new Map(rejected), again, position, hasMoreErrors: true }
  }
  // An answer that does not add up would make a ledger that lies.
  if (accepted.length !== answer.accepted) {
    const detail = `the answer speaks of ${answer.accepted} accepted events, its errors of ${accepted.length}`
    return { is: 'refused', code: 'unexpected_answer', detail }
  }
  const refused = indexes.flatMap((index) => {
    const error = errors.get(index)
    return error === undefined || error.retriable || index >= known ? [] : [[index, error] as const]
  })
  const again = indexes.filter((index) => index >= known || errors.get(index)?.retriable === true)
  return { is: 'answered', accepted, rejected: new Map(refused), again, position, hasMoreErrors: false }
}

const batchAnswer = z.object({
  accepted: z.int(),
  stoppedAt: z.int().optional(),
  errorsOmitted: z.int().default(0),
  errors: z
    .array(
      z.object({
        index: z.int(),
        code: z.string(),
        field: z.string().default(''),
        detail: z.string().default(''),
        retriable: z.boolean().default(false),
      }),
    )
    .default([]),
})

const problemAnswer = z.object({ code: z.string().optional(), detail: z.string().optional() })
