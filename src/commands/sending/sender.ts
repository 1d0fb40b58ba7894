import type { CommandContext } from '../context.ts'
import { count, rate, span } from '../output.ts'
import { type ProgressBar, progressBar } from '../progress.ts'
import { Delivery, type DeliveryOptions, type Line } from './delivery.ts'

export interface SenderOptions<L extends Line>
  extends Pick<DeliveryOptions<L>, 'url' | 'giveUpAfterMs' | 'onAccepted' | 'onRejected'> {
  readonly context: CommandContext
  /** Events a second; undefined: as fast as it goes. */
  readonly rate: number | undefined
  /** What the bar counts to; undefined where nobody knows. */
  readonly total: number | undefined
}

/** A delivery with a bar that shows how far it is, at a rate, and with a word when nobody answers. */
export class Sender<L extends Line> implements Disposable {
  readonly delivery: Delivery<L>
  readonly #context: CommandContext
  readonly #rate: number | undefined
  readonly #giveUpAfterMs: number
  readonly #bar: ProgressBar
  readonly #startedAt: number
  #done = 0
  #sent = 0
  /** When the person was last told that the server is away; undefined while it is there. */
  #toldAt: number | undefined
  #awayMs = 0

  constructor(options: SenderOptions<L>) {
    const { context, total, giveUpAfterMs } = options
    this.#context = context
    this.#rate = options.rate
    this.#giveUpAfterMs = giveUpAfterMs
    this.#startedAt = context.now()
    const format = total === undefined ? '' : '{bar} {percentage}%  '
    const eta = total === undefined ? '' : 'ETA {eta_formatted}  '
    this.#bar = progressBar(context, `${format}{events} events  {rate}  ${eta}{note}`, total ?? 1, {
      events: '0',
      rate: '-',
      note: '',
    })
    this.delivery = new Delivery<L>({
      ...options,
      onRetry: (because, waitMs, awayMs) => this.#tellOfRetry(because, waitMs, awayMs),
    })
  }

  /** Events that were handed to it. */
  get sent(): number {
    return this.#sent
  }

  get ms(): number {
    return this.#context.now() - this.#startedAt
  }

  /** Returns once every line has its answer. `done`: how far that is, of the total. */
  async send(lines: readonly L[], done: number): Promise<void> {
    if (lines.length > 0) await this.delivery.send(lines)
    this.#sent += lines.length
    this.#done = done
    if (this.#toldAt !== undefined && !this.#context.showsProgress)
      this.#say(`it answers again after ${span(this.#awayMs)}`)
    this.#toldAt = undefined
    this.#show()
    if (this.#rate !== undefined) {
      await this.#context.wait(this.#startedAt + (this.#sent * 1_000) / this.#rate - this.#context.now())
    }
  }

  [Symbol.dispose](): void {
    this.#bar.stop()
  }

  #show(note = ''): void {
    const { accepted } = this.delivery
    this.#bar.update(this.#done, { events: count(accepted), rate: rate(accepted, this.ms), note })
  }

  #tellOfRetry(because: string, waitMs: number, awayMs: number): void {
    this.#awayMs = awayMs + waitMs
    const isAway = awayMs >= awayAfterMs
    // A bar has one line of the terminal, whatever is left of it.
    this.#show(isAway ? `away for ${span(awayMs)}, waiting` : `${because}, again in ${span(waitMs)}`)
    if (!isAway || this.#context.showsProgress) return
    const now = this.#context.now()
    if (this.#toldAt !== undefined && now - this.#toldAt < tellEveryMs) return
    this.#toldAt = now
    const patience = `waiting up to ${span(this.#giveUpAfterMs)}, nothing is lost`
    this.#say(`nothing gets through for ${span(awayMs)} (${because}); ${patience}`)
  }

  #say(text: string): void {
    this.#context.stderr.write(`embudo: ${text}\n`)
  }
}

const awayAfterMs = 5_000
const tellEveryMs = 60_000

/** Small enough that a slow stream does not come in lumps: five batches a second. */
export const linesAtRate = (eventsPerSecond: number | undefined, most: number): number =>
  eventsPerSecond === undefined ? most : Math.max(1, Math.min(most, Math.floor(eventsPerSecond / 5)))
