import { laterPosition } from '../../client/position.ts'
import { backOffMs, retryAfterMs } from '../../client/retry.ts'
import { EmbudoError } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'
import { span } from '../output.ts'
import { parsedJson } from '../parsed-json.ts'
import { notRunning, reasonOf } from '../server.ts'
import { judge, type RefusedEvent, type Verdict } from './answer.ts'

/** One event as it goes into the body: JSON without a newline, its id in it. */
export interface Line {
  readonly text: string
}

export interface DeliveryOptions<L extends Line> {
  readonly context: Pick<CommandContext, 'baseUrl' | 'fetch' | 'signal' | 'now' | 'wait' | 'random'>
  readonly url: string | undefined
  /** Given up after so long without any progress. */
  readonly giveUpAfterMs: number
  /** Called before anything else is sent: what it wrote is there even if this process ends. */
  readonly onAccepted?: (lines: readonly L[]) => void
  readonly onRejected?: (line: L, error: RefusedEvent) => void
  /** Something went wrong, and the same events are sent again; `awayMs`: how long there was no progress. */
  readonly onRetry?: (because: string, waitMs: number, awayMs: number) => void
}

/** An answer takes far less; a server that was stopped while it had the request gives none. */
const requestPatienceMs = 30_000
const waits = { minBackOffMs: 100, maxBackOffMs: 5_000 }
/** How long an answer that is under way is still waited for when the command is to stop. */
const lastPatienceMs = 5_000
/** As many as an answer names errors. */
const linesWhenErrorsAreMany = 1_000

/**
 * Sends batches one after the other, each until every line of it has its answer: a lost connection, 429 and 503
 * are waited out, and what has no answer is sent again with the same ids. Never more than one request at a time:
 * a batch that fails must not be overtaken by a later one with the same keys.
 */
export class Delivery<L extends Line> {
  accepted = 0
  rejected = 0
  /** Events, each counted once, that were sent again although an earlier try may have reached the log. */
  resentUnknown = 0
  /** The last place per partition, as the header Embudo-Position takes it. */
  position: string | undefined
  /** Nobody answered, from the beginning. */
  foundNobody = false

  readonly #options: DeliveryOptions<L>
  #underWay: AbortController | undefined
  /** Of a request: less once one was too large for something on the way. */
  #maxCharacters = Number.POSITIVE_INFINITY
  #hasBeenAnswered = false

  constructor(options: DeliveryOptions<L>) {
    this.#options = options
    const stop = () => void setTimeout(() => this.#underWay?.abort(), lastPatienceMs).unref()
    options.context.signal.addEventListener('abort', stop, { once: true })
  }

  /**
   * Throws `not_running`, `gave_up`, `interrupted`, or the server's own code where it refuses all. What is under
   * way when the signal aborts still gets its answer.
   */
  async send(lines: readonly L[]): Promise<void> {
    const batches: (readonly L[])[] = [lines]
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      // What waits may be too large by what was learned since.
      const [first = [], ...others] = piecesOf(batch, batch.length, this.#maxCharacters)
      batches.unshift(...(await this.#send(first)), ...others)
    }
  }

  /** Gives back what is to be sent again in smaller batches. */
  async #send(lines: readonly L[]): Promise<readonly (readonly L[])[]> {
    const { context, giveUpAfterMs, onRetry } = this.#options
    let waiting = lines
    let failures = 0
    let isCounted = false
    let progressAt = context.now()
    while (waiting.length > 0) {
      if (context.signal.aborted) throw new EmbudoError('interrupted', 'interrupted')
      const verdict = await this.#attempt(waiting)
      if (verdict.is === 'refused')
        throw new EmbudoError(verdict.code, `the server refuses the events: ${verdict.detail}`)
      if (verdict.is === 'too large') return this.#split(waiting)
      if (verdict.is === 'answered') {
        const before = waiting.length
        waiting = this.#settle(waiting, verdict)
        if (waiting.length < before) {
          failures = 0
          progressAt = context.now()
        }
        if (waiting.length === 0) break
        if (verdict.hasMoreErrors && lines.length > linesWhenErrorsAreMany)
          return piecesOf(waiting, linesWhenErrorsAreMany, this.#maxCharacters)
      }
      const because = verdict.is === 'unknown' ? verdict.because : 'the server could not append all of them'
      const mayHaveReached = verdict.is === 'answered' || verdict.mayHaveReached
      if (mayHaveReached && !isCounted) {
        isCounted = true
        this.resentUnknown += waiting.length
      }
      const asked = verdict.is === 'unknown' ? verdict.waitMs : undefined
      // A server that asks for no wait at all gets one nevertheless.
      const waitMs = asked || Math.round(backOffMs(failures, waits, context.random))
      failures += 1
      if (context.now() + waitMs - progressAt > giveUpAfterMs)
        throw gaveUp(giveUpAfterMs, because, this.accepted)
      onRetry?.(because, waitMs, context.now() - progressAt)
      await context.wait(waitMs)
    }
    return []
  }

  async #attempt(lines: readonly L[]): Promise<Verdict> {
    const { context, url } = this.#options
    // AbortSignal.timeout would keep the request and its body until it fires, answered or not.
    const underWay = new AbortController()
    this.#underWay = underWay
    const patience = setTimeout(() => underWay.abort(new Error('timeout')), requestPatienceMs)
    try {
      const response = await context.fetch(`${context.baseUrl(url)}/api/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body: lines.map(({ text }) => text).join('\n'),
        signal: underWay.signal,
      })
      const text = await response.text()
      this.#hasBeenAnswered = true
      const { status, headers } = response
      const answer = {
        status,
        body: parsedJson(text),
        askedMs: retryAfterMs(headers.get('retry-after'), headers.get('date'), context.now()),
        position: headers.get('embudo-position'),
      }
      return judge(answer, lines.length)
    } catch (error) {
      if (context.signal.aborted) throw new EmbudoError('interrupted', 'interrupted', { cause: error })
      if (reasonOf(error) === 'bad port') throw forbiddenPort(context.baseUrl(url), error)
      // Nobody there from the beginning is a mistake to be told at once, not a fault to be waited out.
      this.foundNobody = !this.#hasBeenAnswered && isNobody(error)
      if (this.foundNobody)
        throw error instanceof EmbudoError ? error : notRunning(context.baseUrl(url), error)
      const because = reasonOf(error)
      return { is: 'unknown', because, waitMs: undefined, mayHaveReached: because !== 'ECONNREFUSED' }
    } finally {
      clearTimeout(patience)
      this.#underWay = undefined
    }
  }

  /** Half as much from now on; an event that is too large by itself is refused. */
  #split(lines: readonly L[]): readonly (readonly L[])[] {
    if (lines.length === 1) {
      this.rejected += 1
      this.#options.onRejected?.(lines[0]!, tooLarge)
      return []
    }
    this.#maxCharacters = Math.floor(charactersOf(lines) / 2)
    return [lines]
  }

  /** Books what has its answer; gives back what has not. */
  #settle(lines: readonly L[], verdict: Extract<Verdict, { is: 'answered' }>): readonly L[] {
    const { onAccepted, onRejected } = this.#options
    this.position = laterPosition(this.position, verdict.position)
    this.accepted += verdict.accepted.length
    this.rejected += verdict.rejected.size
    if (verdict.accepted.length > 0) onAccepted?.(verdict.accepted.map((index) => lines[index]!))
    for (const [index, error] of verdict.rejected) onRejected?.(lines[index]!, error)
    return verdict.again.map((index) => lines[index]!)
  }
}

/** In their order, none empty. */
const piecesOf = <L extends Line>(lines: readonly L[], maxLines: number, maxCharacters: number): L[][] => {
  const pieces: L[][] = []
  let characters = Number.POSITIVE_INFINITY
  for (const line of lines) {
    const piece = pieces.at(-1)
    characters += line.text.length + 1
    if (piece !== undefined && piece.length < maxLines && characters <= maxCharacters) piece.push(line)
    else {
      pieces.push([line])
      characters = line.text.length + 1
    }
  }
  return pieces
}

const charactersOf = (lines: readonly Line[]): number =>
  lines.reduce((sum, { text }) => sum + text.length + 1, 0)

const tooLarge: RefusedEvent = {
  code: 'body_too_large',
  field: '',
  detail: 'no request as large as this one event is taken, by the server or by something in front of it',
}

/** A connection that was made and then lost is another matter. */
const isNobody = (error: unknown): boolean =>
  error instanceof EmbudoError || !/^(ECONNRESET|EPIPE|UND_ERR_)|timeout/.test(reasonOf(error))

/** fetch never connects to the ports of mail, IRC and the like, as the Fetch standard lists them. */
const forbiddenPort = (base: string, cause: unknown): EmbudoError =>
  new EmbudoError(
    'wrong_use',
    `${base} has a port that HTTP clients refuse to connect to, since it is another protocol's; let embudo listen ` +
      'on another one (EMBUDO_PORT, for example 8080) and name that with --url',
    { cause },
  )

const gaveUp = (afterMs: number, because: string, accepted: number): EmbudoError =>
  new EmbudoError(
    'gave_up',
    `gave up after ${span(afterMs)} without progress: ${because}. ${accepted.toLocaleString('en')} events were accepted; ` +
      'the same command again sends the rest, with the same ids',
    { facts: { accepted, because }, retriable: true },
  )
