import type { IncomingMessage, ServerResponse } from 'node:http'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { EmbudoError } from '../define/error.ts'
import { parseJson, readBody, zstdParams } from '../http/body.ts'
import { problemOf, sendProblem } from '../http/problem.ts'
import type { ToRecord } from '../log/event-record.ts'
import type { Log } from '../log/port.ts'
import { sendBatch, sendJson, sendRefusal } from './answer.ts'
import { Batch, failureError, failureOf } from './batch.ts'
import { type BodyEncoding, bodyEncoding, bodyKind, fromBinaryMode } from './content.ts'
import { eventError } from './event-error.ts'
import type { IngestMetrics } from './metrics.ts'
import { NdjsonLines } from './ndjson.ts'
import { isTraceparent, type Sender, type Validate } from './validate.ts'

export interface IngestParts {
  readonly log: Pick<Log, 'append'>
  readonly validate: Validate
  readonly toRecord: ToRecord
  readonly wait: (ms: number) => Promise<void>
  readonly metrics?: IngestMetrics
  /** What is written into the records' headers; by default the request's own header. */
  readonly traceparent?: (request: IncomingMessage) => string | undefined
  /** An error that nobody foresaw. */
  readonly onError: (error: unknown) => void
}

export interface IngestLimits {
  /** Of a JSON body, after decompression. NDJSON has no limit on the number of its lines. */
  readonly maxBodyBytes: number
  readonly maxLineBytes: number
  readonly bodyDeadlineMs: number
  readonly chunkEvents: number
  readonly chunkBytes: number
  readonly maxBusyMs: number
}

export const defaultIngestLimits: IngestLimits = {
  maxBodyBytes: 10 * 1024 * 1024,
  maxLineBytes: 1024 * 1024,
  bodyDeadlineMs: 60_000,
  chunkEvents: 2_000,
  chunkBytes: 1024 * 1024,
  maxBusyMs: 10_000,
}

export type Ingest = (request: IncomingMessage, response: ServerResponse) => void

/** POST /api/events. Answers only for what the log has acknowledged. */
export const ingest = (parts: IngestParts, limits: IngestLimits = defaultIngestLimits): Ingest => {
  const traceparent = parts.traceparent ?? ownTraceparent

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const kind = bodyKind(request.headers)
    if (kind === undefined) throw unsupportedType(request)
    const encoding = bodyEncoding(request.headers)
    if (encoding === undefined) throw unsupportedEncoding(request)
    const sender: Sender = { source: 'http', traceparent: traceparent(request) }
    if (kind === 'ndjson') return answerLines(request, response, encoding, sender)
    const body = await readBody(request, encoding, {
      maxBytes: limits.maxBodyBytes,
      deadlineMs: limits.bodyDeadlineMs,
    })
    const input = parseJson(body)
    if (Array.isArray(input) && (kind === 'json' || kind === 'cloudevents'))
      return answerMany(input, response, sender)
    if (kind === 'cloudevents') throw notABatch()
    await answerOne(kind === 'binary' ? fromBinaryMode(request.headers, input) : input, response, sender)
  }

  const answerOne = async (input: unknown, response: ServerResponse, sender: Sender): Promise<void> => {
    const event = parts.validate(input, sender)
    if ('refused' in event) {
      parts.metrics?.refused(event.refused.code)
      return sendRefusal(response, event.refused, event.id)
    }
    const record = parts.toRecord(event)
    const [outcome] = await parts.log.append([record]).catch((error: unknown) => [failureOf(error)])
    if (outcome === undefined)
      throw new EmbudoError('log_unavailable', 'the log gave no answer', { retriable: true })
    if ('failed' in outcome) {
      const failure = failureError(outcome)
      parts.metrics?.refused(failure.code)
      return sendRefusal(response, failure, event.id)
    }
    parts.metrics?.accepted(1)
    const { topic, partition, offset } = outcome
    sendJson(
      response,
      202,
      `{"id":${JSON.stringify(event.id)},"topic":${JSON.stringify(topic)},"partition":${partition},"offset":${offset}}`,
      `${topic}:${partition}:${offset}`,
    )
  }

  const answerMany = async (
    inputs: readonly unknown[],
    response: ServerResponse,
    sender: Sender,
  ): Promise<void> => {
    const batch = new Batch(
      parts,
      { ...limits, maxErrors: maxErrorsOfArray, whenLogFails: 'refuse each' },
      sender,
    )
    for (const input of inputs) {
      batch.add(input)
      if (batch.isFull) await batch.flush()
    }
    finish(response, await batch.finish())
  }

  const answerLines = async (
    request: IncomingMessage,
    response: ServerResponse,
    encoding: BodyEncoding,
    sender: Sender,
  ): Promise<void> => {
    const batch = new Batch(parts, { ...limits, maxErrors: maxErrorsOfLines, whenLogFails: 'stop' }, sender)
    const lines = new NdjsonLines(
      {
        line: (value) => batch.add(value),
        refuse: (error) => batch.refuse(error),
        get isFull() {
          return batch.isFull
        },
      },
      limits.maxLineBytes,
    )
    try {
      for await (const piece of decompressed(request, encoding)) {
        let rest = lines.push(piece)
        while (batch.isFull && !batch.hasStopped) {
          await batch.flush()
          rest = lines.push(rest)
        }
        if (batch.hasStopped) break
      }
      lines.end()
    } catch (error) {
      if (!(error instanceof EmbudoError && error.code === 'body_malformed')) throw error
      // What was appended stays.
      const result = await batch.finish(eventError('body_malformed', '', error.message))
      request.resume()
      return finish(response, result)
    }
    request.resume()
    finish(response, await batch.finish())
  }

  const finish = (response: ServerResponse, result: Awaited<ReturnType<Batch['finish']>>): void => {
    parts.metrics?.accepted(result.accepted)
    for (const { code } of result.errors) parts.metrics?.refused(code)
    sendBatch(response, result)
  }

  return (request, response) => {
    const done = parts.metrics?.request(response)
    answer(request, response).then(done, (error: unknown) => {
      done?.()
      if (error instanceof EmbudoError && error.code === 'client_gone') return
      if (!(error instanceof EmbudoError)) parts.onError(error)
      request.resume()
      sendProblem(response, problemOf(error))
    })
  }
}

const maxErrorsOfArray = 10_000
const maxErrorsOfLines = 1_000

async function* decompressed(request: IncomingMessage, encoding: BodyEncoding): AsyncGenerator<Buffer> {
  try {
    if (encoding === 'identity') return yield* request.iterator({ destroyOnReturn: false })
    const unzip = encoding === 'gzip' ? createGunzip() : createZstdDecompress({ params: zstdParams })
    request.on('error', (error) => unzip.destroy(error))
    yield* request.pipe(unzip)
  } catch (cause) {
    throw new EmbudoError(
      'body_malformed',
      `the body broke off${encoding === 'identity' ? '' : `, or is not ${encoding}`}`,
      { cause },
    )
  }
}

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
