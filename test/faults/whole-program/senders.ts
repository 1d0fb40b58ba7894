import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../processes.ts'
import type { Ledger } from './ledger.ts'
import { ndjson } from './load.ts'

type Kind = 'single' | 'array' | 'lines'

interface Shape {
  readonly senders: number
  /** Each sender's own. */
  readonly keys: number
  /** How many events of each of its keys go into one request; a single one takes its keys in turn. */
  readonly rounds: number
}

export type Shapes = Readonly<Record<Kind, Shape>>

export const keysOf = ({ single, array, lines }: Shapes): number =>
  [single, array, lines].reduce((sum, { senders, keys }) => sum + senders * keys, 0)

const contentTypes: Record<Kind, string> = {
  single: 'application/json',
  array: 'application/json',
  lines: 'application/x-ndjson',
}

/** Where events are sent to; its address may change. */
export interface Served {
  readonly run: { readonly http: string }
  readRunFile(): Promise<{ readonly http: string } | undefined>
}

export interface SendersOptions {
  readonly shapes: Shapes
  readonly random: () => number
  /** How many of the requests are sent again though they were answered, or are broken off on the way. */
  readonly repeats: number
}

/** Disposing gives up what is not acknowledged. */
export interface Senders extends Disposable {
  /** Waits until so many more events are acknowledged. Throws what was wrong with an answer, if anything was. */
  untilFurther(events: number, patienceMs?: number): Promise<void>
  /** Each finishes what it is about. Throws what was wrong with an answer, if anything was. */
  stop(): Promise<void>
}

/**
 * Clients as they should be: each has keys of its own and at most one request under way, sends at full speed, and
 * sends with the same ids again what is not acknowledged, once the time of Retry-After has passed.
 */
export const startSenders = (program: Served, ledger: Ledger, options: SendersOptions): Senders => {
  const stopping = new AbortController()
  const wire = new Wire(program, ledger, options)
  let firstKey = 0
  const send = async (kind: Kind): Promise<void> => {
    const { rounds, ...shape } = options.shapes[kind]
    const keys = Array.from({ length: shape.keys }, (_, i) => firstKey + i)
    firstKey += keys.length
    for (let turn = 0; !stopping.signal.aborted; turn++) {
      const those = kind === 'single' ? [keys[turn % keys.length] ?? 0] : keys
      const events = Array.from({ length: rounds }, () => those.map((key) => ledger.next(key)))
      await wire.deliver(kind, events.flat())
    }
  }
  const running = (['single', 'array', 'lines'] as const).flatMap((kind) =>
    Array.from({ length: options.shapes[kind].senders }, () => send(kind)),
  )
  const failed: unknown[] = []
  const ended = Promise.all(running)
  ended.catch((error: unknown) => failed.push(error))
  return {
    async untilFurther(events, patienceMs) {
      const goal = ledger.acknowledged + events
      const isFarEnough = () => {
        if (failed.length > 0) throw failed[0]
        return ledger.acknowledged >= goal
      }
      await until(`${goal} events are acknowledged`, isFarEnough, patienceMs)
    },
    async stop() {
      stopping.abort()
      await ended
    },
    [Symbol.dispose]() {
      stopping.abort()
      wire.isGivenUp = true
    },
  }
}

/** Longer than any deadline of the program: only a request that hangs takes it. */
const hangMs = 150_000
const partialPauseMs = 100
const longestPauseMs = 500

class Wire {
  readonly #program: Served
  readonly #ledger: Ledger
  readonly #options: SendersOptions
  #address: string
  isGivenUp = false

  constructor(program: Served, ledger: Ledger, options: SendersOptions) {
    this.#program = program
    this.#ledger = ledger
    this.#options = options
    this.#address = program.run.http
  }

  async deliver(kind: Kind, events: readonly number[]): Promise<void> {
    const { random, repeats } = this.#options
    let left = events
    for (let attempt = 0, lost = 0; left.length > 0 && !this.isGivenUp; attempt++) {
      if (attempt > 0) this.#ledger.retries += 1
      const whim = random()
      const breaksOff = whim < repeats / 2
      const forgets = !breaksOff && whim < repeats
      if (breaksOff || forgets) this.#ledger.willRepeat(left)
      const answer = await this.#post(kind, left, breaksOff ? Math.floor(random() * 20) : hangMs)
      if (answer === undefined) {
        if (!breaksOff) this.#ledger.unanswered += 1
        this.#address = (await this.#program.readRunFile())?.http ?? this.#address
        await delay(Math.min(longestPauseMs, 10 * 2 ** lost++))
        continue
      }
      const acknowledged = new Set(this.#acknowledged(kind, left, answer))
      if (forgets) continue
      this.#ledger.acknowledged += acknowledged.size
      left = left.filter((event) => !acknowledged.has(event))
      if (left.length > 0) await delay(pauseMs(answer))
    }
  }

  /** Undefined where the connection ended before the answer. */
  async #post(kind: Kind, events: readonly number[], patienceMs: number): Promise<Answer | undefined> {
    const all = events.map((event) => this.#ledger.event(event))
    const body = kind === 'lines' ? ndjson(all) : JSON.stringify(kind === 'single' ? all[0] : all)
    const begun = performance.now()
    this.#ledger.requests += 1
    const signal = AbortSignal.timeout(patienceMs)
    try {
      const headers = { 'content-type': contentTypes[kind] }
      const request = { method: 'POST', headers, body, signal }
      const response = await fetch(`${this.#address}/api/events`, request)
      const said = (await response.json()) as Answer['said']
      this.#ledger.answered(response.status, performance.now() - begun)
      return { status: response.status, headers: response.headers, said }
    } catch (error) {
      if (signal.aborted && patienceMs === hangMs) throw new Error(`no answer within ${hangMs} ms`)
      if (error instanceof SyntaxError) throw error
      return undefined
    }
  }

  /** Notes what the answer claims, and returns the events that it acknowledges. */
  #acknowledged(kind: Kind, events: readonly number[], answer: Answer): readonly number[] {
    const { status, said, headers } = answer
    if (status === 503 || status === 429) {
      const isHonest = said.retriable === true && Number(headers.get('retry-after')) > 0
      return isHonest ? [] : refuse(answer)
    }
    if (status !== 202 && status !== 207) return refuse(answer)
    const positions = positionsIn(headers)
    const [first] = events
    if (kind === 'single' && first !== undefined) {
      const { topic = '', partition = -1, offset = -1 } = said
      if (positions.get(`${topic}:${partition}`) !== offset) return refuse(answer)
      this.#ledger.standsAt(first, topic, partition, offset)
      return events
    }
    const { accepted, errors = [], stoppedAt = events.length } = said
    if (errors.some(({ retriable }) => !retriable)) return refuse(answer)
    const refused = new Set(errors.map(({ index }) => index))
    const taken = events.filter((_, index) => index < stoppedAt && !refused.has(index))
    if (taken.length !== accepted || (status === 202) !== (accepted === events.length)) return refuse(answer)
    this.#ledger.standUpTo(taken, positions)
    return taken
  }
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly said: {
    readonly topic?: string
    readonly partition?: number
    readonly offset?: number
    readonly retriable?: boolean
    readonly accepted?: number
    readonly errors?: readonly { readonly index: number; readonly retriable: boolean }[]
    readonly stoppedAt?: number
  }
}

/** What a sender of valid events should never be told. */
const refuse = ({ status, headers, said }: Answer): never => {
  throw new Error(
    `answered ${status} ${JSON.stringify([...headers])} ${JSON.stringify(said).slice(0, 1_000)}`,
  )
}

const positionsIn = (headers: Headers): Map<string, number> =>
  new Map(
    (headers.get('embudo-position') ?? '').split(', ').map((place) => {
      const end = place.lastIndexOf(':')
      return [place.slice(0, end), Number(place.slice(end + 1))] as const
    }),
  )

const pauseMs = ({ headers }: Answer): number => {
  const seconds = headers.get('retry-after')
  return seconds === null ? partialPauseMs : Number(seconds) * 1_000
}
