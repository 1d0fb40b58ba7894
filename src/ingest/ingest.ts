import type { IncomingMessage, ServerResponse } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { EmbudoError } from '../define/error.ts'
import { announcedBytes, invite, parseJson, readBody } from '../http/body.ts'
import { type JsonShape, jsonShape } from '../http/json-shape.ts'
import { problemOf, retryAfterOf, sendProblem } from '../http/problem.ts'
import { whenGone } from '../http/when-gone.ts'
import type { ToRecord } from '../log/event-record.ts'
import type { Log } from '../log/port.ts'
import type { Admission, Hold } from './admission.ts'
import { sendBatch, sendJson, sendRefusal } from './answer.ts'
import { appendOne } from './append-one.ts'
import { Batch } from './batch.ts'
import { callerOf } from './caller.ts'
import { type BodyEncoding, bodyEncoding, bodyKind, fromBinaryMode, repeatedAttribute } from './content.ts'
import { type EventError, eventError } from './event-error.ts'
import type { IngestMetrics } from './metrics.ts'
import { Pieces } from './pieces.ts'
import { RepeatedKeys, repeatedKeysIn } from './repeated-keys.ts'
import { eventBytes, pieceBytes, readLines, type StreamLimits } from './stream.ts'
import { isTraceparent, type Sender, type Validate } from './validate.ts'

export interface IngestParts {
  readonly log: Pick<Log, 'append'>
  readonly validate: Validate
  readonly toRecord: ToRecord
  readonly wait: (ms: number) => Promise<void>
  readonly admission: Admission
  readonly metrics?: IngestMetrics
  /** Aborts when streams that still go on should come to an end, with an answer. */
  readonly stopping?: AbortSignal
  readonly nowMs?: () => number
  /** What is written into the records' headers; by default the request's own header. */
  readonly traceparent?: (request: IncomingMessage) => string | undefined
  /** An error that nobody foresaw. */
  readonly onError: (error: unknown) => void
}

export interface IngestLimits extends StreamLimits {
  /** Of a JSON body, after decompression. NDJSON has no limit on the number of its lines. */
  readonly maxBodyBytes: number
  readonly chunkEvents: number
  readonly chunkBytes: number
}

export const defaultIngestLimits: IngestLimits = {
  maxBodyBytes: 10 * 1024 * 1024,
  maxLineBytes: 1024 * 1024,
  bodyDeadlineMs: 60_000,
  chunkEvents: 2_000,
  chunkBytes: 1024 * 1024,
  maxBusyMs: 10_000,
  idleMs: 1_000,
}

export type Ingest = (request: IncomingMessage, response: ServerResponse) => void

/** POST /api/events. Answers only for what the log has acknowledged. */
export const ingest = (parts: IngestParts, limits: IngestLimits = defaultIngestLimits): Ingest => {
  const traceparent = parts.traceparent ?? ownTraceparent
  const nowMs = parts.nowMs ?? (() => performance.now())
  const isStopping = () => parts.stopping?.aborted === true

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const kind = bodyKind(request.headers)
    if (kind === undefined) throw unsupportedType(request)
    const encoding = bodyEncoding(request.headers)
    if (encoding === undefined) throw unsupportedEncoding(request)
    const sender: Sender = { source: 'http', traceparent: traceparent(request) }
    const isStream = kind === 'ndjson'
    const bytes = isStream ? pieceBytes : announcedBytes(request, encoding, limits.maxBodyBytes)
    const hold = parts.admission.admit(callerOf(request), bytes + requestBytes)
    try {
      invite(request, response)
      if (isStream) return await answerLines(request, response, encoding, sender, hold)
      const body = await readBody(request, encoding, {
        maxBytes: limits.maxBodyBytes,
        deadlineMs: limits.bodyDeadlineMs,
        room: hold,
      })
      const shape = jsonShape(body)
      const claimed = shape === undefined ? 0 : Math.ceil(eventsIn(shape)) * eventBytes
      hold.grow(claimed)
      const input = parseJson(body)
      if (Array.isArray(input)) hold.grow(Math.max(0, input.length * eventBytes - claimed))
      const repeated = new RepeatedKeys(body).mayBeIn(input) ? await repeatedKeysIn(body) : undefined
      if (Array.isArray(input) && (kind === 'json' || kind === 'cloudevents'))
        return await answerMany(input, repeated, response, sender, hold)
      if (kind === 'cloudevents') throw notABatch()
      const [refused] = repeated?.values() ?? []
      if (refused !== undefined) {
        parts.metrics?.refused(refused.code)
        const field = kind === 'binary' ? `/data${refused.field}` : refused.field
        return sendRefusal(response, { ...refused, field }, undefined)
      }
      if (kind !== 'binary') return await answerOne(input, response, sender)
      const attribute = repeatedAttribute(request.headersDistinct)
      if (attribute !== undefined) {
        const twice = eventError('duplicate_key', `/${attribute}`, givenTwice)
        parts.metrics?.refused(twice.code)
        return sendRefusal(response, twice, undefined)
      }
      await answerOne(fromBinaryMode(request.headersDistinct, input), response, sender)
    } finally {
      hold.release()
    }
  }

  const answerOne = async (input: unknown, response: ServerResponse, sender: Sender): Promise<void> => {
    const one = await appendOne(parts, input, sender)
    if ('refused' in one) return sendRefusal(response, one.refused, one.id)
    if ('failure' in one)
      return sendRefusal(response, one.failure, one.id, parts.admission.retryAfterSeconds())
    const { event, appended } = one
    const { topic, partition, offset } = appended
    sendJson(
      response,
      202,
      `{"id":${JSON.stringify(event.id)},"topic":${JSON.stringify(topic)},"partition":${partition},"offset":${offset}}`,
      `${topic}:${partition}:${offset}`,
    )
  }

  const answerMany = async (
    inputs: unknown[],
    repeated: ReadonlyMap<number, EventError> | undefined,
    response: ServerResponse,
    sender: Sender,
    hold: Hold,
  ): Promise<void> => {
    const batch = new Batch(
      parts,
      { ...limits, maxErrors: maxErrorsOfArray, whenLogFails: 'refuse each' },
      sender,
    )
    for (let at = 0; at < inputs.length; at++) {
      const refused = repeated?.get(at)
      if (refused === undefined) batch.add(inputs[at])
      else batch.refuse(refused)
      // An event takes many times the memory of its text, and is not needed any more.
      inputs[at] = undefined
      if (batch.isFull) await batch.flush()
      // Others want to be answered as well.
      if (at % eventsATurn === eventsATurn - 1) await nextTurn()
    }
    finish(response, await batch.finish(), hold)
  }

  const answerLines = async (
    request: IncomingMessage,
    response: ServerResponse,
    encoding: BodyEncoding,
    sender: Sender,
    hold: Hold,
  ): Promise<void> => {
    const batch = new Batch(parts, { ...limits, maxErrors: maxErrorsOfLines, whenLogFails: 'stop' }, sender)
    let brokenOff: EventError | undefined
    try {
      using pieces = new Pieces(request, encoding)
      brokenOff = await readLines(pieces, batch, hold, limits, { isStopping, nowMs })
    } catch (error) {
      if (!(error instanceof EmbudoError && error.code === 'body_malformed')) throw error
      // What was appended stays.
      brokenOff = eventError('body_malformed', '', error.message)
    }
    if (brokenOff?.code === 'server_busy') parts.metrics?.pushedBack(brokenOff.code)
    finish(response, await batch.finish(brokenOff), hold)
  }

  const finish = (
    response: ServerResponse,
    result: Awaited<ReturnType<Batch['finish']>>,
    hold: Hold,
  ): void => {
    parts.metrics?.accepted(result.accepted)
    for (const { code } of result.errors) parts.metrics?.refused(code)
    if (result.errors.some(({ code }) => code === 'log_busy')) parts.metrics?.pushedBack('log_busy')
    sendBatch(response, result, parts.admission.retryAfterSeconds())
    // An answer of megabytes stays until its receiver has taken it.
    if (result.errors.length >= fewErrors) {
      const answer = hold.beside(result.errors.length * eventBytes)
      whenGone(response, () => answer.release())
    }
  }

  return (request, response) => {
    const done = parts.metrics?.request(response)
    answer(request, response).then(done, (error: unknown) => {
      if (error instanceof EmbudoError && error.code === 'client_gone') return
      if (!(error instanceof EmbudoError)) parts.onError(error)
      sendProblem(response, problemOf(error), { retryAfterSeconds: retryAfterOf(error) })
      done?.()
    })
  }
}

const givenTwice = 'expected each attribute once, got its header twice: which of them counts cannot be told'

const maxErrorsOfArray = 10_000
const maxErrorsOfLines = 1_000

/** An event is an object that holds an object and perhaps a map or a list; more of them weigh as more events. */
const eventsIn = ({ items, containers }: JsonShape): number => Math.max(items, containers / 4)

const fewErrors = 100
const eventsATurn = 1_000

/** What a request holds beside its body: its head, and the objects that go with it. */
const requestBytes = 4 * 1024

const ownTraceparent = (request: IncomingMessage): string | undefined => {
  const { traceparent } = request.headers
  return typeof traceparent === 'string' && isTraceparent(traceparent) ? traceparent : undefined
}

const unsupportedType = (request: IncomingMessage): EmbudoError =>
  new EmbudoError(
    'unsupported_content_type',
    'expected application/json, application/cloudevents+json, application/cloudevents-batch+json or ' +
      `application/x-ndjson, in UTF-8; got ${request.headers['content-type'] ?? 'none'}`,
  )

const unsupportedEncoding = (request: IncomingMessage): EmbudoError =>
  new EmbudoError(
    'unsupported_content_encoding',
    `expected gzip, zstd or none; got ${request.headers['content-encoding']}`,
  )

const notABatch = (): EmbudoError =>
  new EmbudoError(
    'malformed_json',
    'expected an array of events: that is what application/cloudevents-batch+json is',
  )
