import type { ServerResponse } from 'node:http'
import { endAnswer } from '../http/end-answer.ts'
import { problem, sendProblem, statusOf } from '../http/problem.ts'
import type { BatchResult } from './batch.ts'
import type { EventError } from './event-error.ts'

export const sendJson = (
  response: ServerResponse,
  status: number,
  body: string,
  position: string | undefined,
): void => {
  if (response.destroyed) return
  const headers: Record<string, string | number> = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  }
  if (position !== undefined) headers['embudo-position'] = position
  endAnswer(response, status, headers, body)
}

/** One event that was not taken. */
export const sendRefusal = (
  response: ServerResponse,
  error: EventError,
  id: string | undefined,
  retryAfterSeconds?: number,
): void => {
  const { status, code, detail, retriable } = refusal(error)
  const more = { retriable, field: error.field, ...(id === undefined ? {} : { id }) }
  sendProblem(response, problem(status, code, detail, more), { retryAfterSeconds })
}

/** 202 when all were accepted, 207 when some were; none: 503 where trying again may help, otherwise 422. */
export const sendBatch = (response: ServerResponse, result: BatchResult, retryAfterSeconds: number): void => {
  const { accepted, rejected, errors, errorsOmitted, stopped, position } = result
  const summary = {
    accepted,
    rejected,
    errors,
    ...(errorsOmitted > 0 ? { errorsOmitted } : {}),
    ...(stopped === undefined ? {} : { stoppedAt: stopped.at, stoppedBy: stopped.because }),
  }
  const isWhole = rejected === 0 && stopped === undefined
  if (isWhole || accepted > 0) {
    sendJson(response, isWhole ? 202 : 207, JSON.stringify(summary), position)
  } else {
    const { status, code, detail, retriable } = whyNone(result)
    const headers = position === undefined ? {} : { 'embudo-position': position }
    sendProblem(response, problem(status, code, detail, { retriable, ...summary }), {
      headers,
      retryAfterSeconds,
    })
  }
}

const whyNone = ({ errors, stopped }: BatchResult) => {
  if (stopped !== undefined) return refusal(stopped.because)
  const mayPass = errors.find((error) => error.retriable)
  if (mayPass !== undefined) return refusal(mayPass)
  const detail = 'none of the events was accepted; errors says why'
  return { status: 422, code: 'no_event_accepted', detail, retriable: false }
}

/** 400 where it is no JSON, 503 where trying again may help, 422 where the event is not valid. */
const refusal = ({ code, detail, retriable }: EventError) => {
  const status = statusOf(code, retriable)
  return { status: status === 500 ? 422 : status, code, detail, retriable }
}
