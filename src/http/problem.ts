import type { ServerResponse } from 'node:http'
import * as z from 'zod'
import { EmbudoError } from '../define/error.ts'
import { endAnswer } from './end-answer.ts'
import { storeUnavailable } from './store-unavailable.ts'

/** RFC 9457, with a stable code. */
export interface Problem {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly retriable: boolean
  readonly [extension: string]: unknown
}

/** The one place where codes become statuses; a code that is not here is 503 if it may pass, else 500. */
const statusByCode: Readonly<Record<string, number>> = {
  bad_parameter: 400,
  bad_cursor: 400,
  bad_position: 400,
  cursor_invalid: 400,
  saga_state_unknown: 400,
  unknown_column: 400,
  unknown_parameter: 400,
  body_malformed: 400,
  malformed_json: 400,
  too_deep: 400,
  range_too_large: 400,
  not_found: 404,
  unknown_read_model: 404,
  unknown_projection: 404,
  unknown_saga: 404,
  unknown_topic: 404,
  method_not_allowed: 405,
  body_timeout: 408,
  event_parked: 409,
  letter_settled: 409,
  letter_of_other_version: 409,
  letter_applied_elsewhere: 409,
  rebuild_running: 409,
  not_rebuildable: 409,
  not_repairable: 409,
  repair_running: 409,
  repair_too_large: 409,
  log_changed: 409,
  log_beginning_lost: 409,
  generation_behind: 409,
  not_comparable: 409,
  nothing_to_verify: 409,
  nothing_to_switch: 409,
  nothing_to_roll_back: 409,
  nothing_to_drop: 409,
  body_too_large: 413,
  record_too_large: 413,
  unsupported_content_type: 415,
  unsupported_content_encoding: 415,
  too_many_requests: 429,
  log_refused: 502,
  log_busy: 503,
  log_closed: 503,
  log_timeout: 503,
  log_unavailable: 503,
  position_not_reached: 503,
  server_busy: 503,
  stopping: 503,
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timeout',
  409: 'Conflict',
  413: 'Content too large',
  415: 'Unsupported media type',
  417: 'Expectation failed',
  422: 'Invalid content',
  429: 'Too many requests',
  500: 'Internal error',
  502: 'Refused by the log',
  503: 'Not available now',
}

export const statusOf = (code: string, retriable: boolean): number =>
  statusByCode[code] ?? (retriable ? 503 : 500)

export const problem = (
  status: number,
  code: string,
  detail: string,
  more: Readonly<Record<string, unknown>> = {},
): Problem => ({
  type: 'about:blank',
  title: titles[status] ?? 'Error',
  status,
  code,
  // It may quote a caller's text, cut in the middle of a character.
  detail: detail.toWellFormed(),
  retriable: status === 429 || status === 503 || status === 408,
  ...more,
})

/** What the caller may know of an error: of one that nobody foresaw, nothing but its request's id. */
export const problemOf = (thrown: unknown): Problem => {
  const error = storeUnavailable(thrown) ?? thrown
  if (!(error instanceof EmbudoError))
    return problem(500, 'internal', 'an unexpected error; the log of the server has it')
  const status = error.facts.invalid === true ? 422 : statusOf(error.code, error.retriable)
  if (status === 500) return problem(500, error.code, error.message)
  const { field, allowed } = error.facts
  return problem(status, error.code, error.message, {
    retriable: error.retriable || status === 503,
    ...(field === undefined ? {} : { field }),
    ...(allowed === undefined ? {} : { allowed }),
  })
}

/** What the error itself says of when to try again, in seconds. */
export const retryAfterOf = (error: unknown): number | undefined => {
  const seconds = error instanceof EmbudoError ? error.facts.retryAfterSeconds : undefined
  return typeof seconds === 'number' ? seconds : undefined
}

/** Where nothing better is known. */
const shortestRetryAfterSeconds = 1

/** Every 429 and 503 says when to try again. */
export const sendProblem = (
  response: ServerResponse,
  body: Problem,
  {
    headers = {},
    retryAfterSeconds = shortestRetryAfterSeconds,
  }: {
    readonly headers?: Readonly<Record<string, string>>
    readonly retryAfterSeconds?: number | undefined
  } = {},
): void => {
  if (response.headersSent || response.destroyed) return void response.destroy()
  const bytes = Buffer.from(JSON.stringify(body))
  endAnswer(
    response,
    body.status,
    {
      ...headers,
      'content-type': 'application/problem+json',
      'content-length': bytes.length,
      ...(body.status === 429 || body.status === 503 ? { 'retry-after': String(retryAfterSeconds) } : {}),
    },
    bytes,
  )
}

export const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string().meta({ description: 'Stable, for programs.' }),
    detail: z.string().meta({ description: 'For people: what was expected and what came.' }),
    retriable: z.boolean(),
    field: z
      .string()
      .optional()
      .meta({ description: 'A JSON pointer into the body, or the name of a parameter.' }),
    allowed: z.array(z.string()).optional().meta({ description: 'What there is instead.' }),
    requestId: z.string().optional().meta({ description: 'To find it in the log of the server.' }),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details.' })
