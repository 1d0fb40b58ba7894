/** What became of one event of a request. */
export type Outcome =
  | { readonly is: 'accepted' }
  | { readonly is: 'refused'; readonly code: string; readonly field: string; readonly detail: string }
  /** To be sent again with the same id. */
  | { readonly is: 'again'; readonly because: string; readonly mayHaveArrived: boolean }

/** One outcome for each event, in the order sent; or the request as a whole was larger than the server takes. */
export type Verdict = readonly Outcome[] | 'too large'

export interface Answer {
  readonly status: number
  readonly text: string
}

/** Pure: the protocol of `POST /api/events` for an array of events, as its caller sees it. */
export const judge = ({ status, text }: Answer, count: number): Verdict => {
  const body = parse(text)
  if (typeof body.accepted === 'number' && Array.isArray(body.errors)) {
    const outcomes = eachOf(body.errors, typeof body.stoppedAt === 'number' ? body.stoppedAt : count, count)
    // An answer that does not add up says nothing about any one event; asking again is safe, believing it is not.
    if (outcomes.filter(({ is }) => is === 'accepted').length === body.accepted) return outcomes
    return all(count, again('the answer does not add up', true))
  }
  if (status === 413) return 'too large'
  const detail = textOf(body.detail) || `the server answered with status ${status}`
  if (status === 429) return all(count, again(detail, false))
  const isFinal = status >= 400 && status < 500 && status !== 408
  if (!isFinal) return all(count, again(detail, true))
  const { code, field } = body
  return all(count, {
    is: 'refused',
    code: textOf(code) || `status_${status}`,
    field: textOf(field),
    detail,
  })
}

/** Nobody answered, or not in time. */
export const unanswered = (because: string, count: number): Verdict => all(count, again(because, true))

const eachOf = (errors: readonly unknown[], known: number, count: number): Outcome[] => {
  const outcomes: Outcome[] = Array.from({ length: count }, (_, index) =>
    index < known ? accepted : again('the server stopped before it', true),
  )
  for (const error of errors) {
    const { index, code, field, detail, retriable } = asObject(error)
    if (typeof index !== 'number' || !(index in outcomes) || index >= known) continue
    outcomes[index] =
      retriable === true
        ? again(textOf(detail) || textOf(code), true)
        : { is: 'refused', code: textOf(code), field: textOf(field), detail: textOf(detail) }
  }
  return outcomes
}

const accepted: Outcome = { is: 'accepted' }

const again = (because: string, mayHaveArrived: boolean): Outcome => ({
  is: 'again',
  because,
  mayHaveArrived,
})

const all = (count: number, outcome: Outcome): Outcome[] => new Array<Outcome>(count).fill(outcome)

const parse = (text: string): Record<string, unknown> => {
  try {
    return asObject(JSON.parse(text))
  } catch {
    return {}
  }
}

const asObject = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
