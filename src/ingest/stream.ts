import type { Hold } from './admission.ts'
import type { Batch } from './batch.ts'
import { type EventError, eventError } from './event-error.ts'
import { NdjsonLines } from './ndjson.ts'
import type { Pieces } from './pieces.ts'

export interface StreamLimits {
  readonly maxLineBytes: number
  /** In which a whole line has to come. */
  readonly bodyDeadlineMs: number
  /** How long room is waited for. */
  readonly maxBusyMs: number
  /** What has come is appended at the latest after so long, whether more comes or not. */
  readonly idleMs: number
}

/** What an event holds beside its text: the headers of its record, its place in the answer. */
export const eventBytes = 256

/** What a stream holds from the beginning: the piece that is being read. */
export const pieceBytes: number = 64 * 1024

/**
 * Puts the lines of a body into a batch, and reads no faster than its events are acknowledged and the others leave
 * room. Answers why it broke off; what the log itself broke off, the batch knows.
 */
export const readLines = async (
  pieces: Pieces,
  batch: Batch,
  hold: Hold,
  limits: StreamLimits,
  { isStopping, nowMs }: { readonly isStopping: () => boolean; readonly nowMs: () => number },
): Promise<EventError | undefined> => {
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
  const held = new HeldLines(batch, hold, limits.maxLineBytes)
  let lineAtMs = nowMs()
  let flushedAtMs = lineAtMs
  let windowLeft = pieces.windowBytes
  while (!batch.hasStopped) {
    if (isStopping()) return stopping()
    const piece = await pieces.next(limits.idleMs)
    if (piece === 'end') {
      lines.end()
      return undefined
    }
    const begunAtMs = nowMs()
    let hasWaited = true
    if (piece === 'late') await held.settle()
    else {
      held.add(piece)
      const grown = Math.min(piece.length, windowLeft)
      windowLeft -= grown
      hold.add(grown)
      let rest = lines.push(piece)
      held.weigh()
      hasWaited = batch.isFull
      while (batch.isFull && !batch.hasStopped) {
        await held.flush(rest.length)
        rest = lines.push(rest)
        held.weigh()
      }
      if (held.hasLineEnded) lineAtMs = nowMs()
    }
    if (hasWaited) flushedAtMs = nowMs()
    else if (nowMs() - flushedAtMs > limits.idleMs) {
      hasWaited = true
      await held.settle()
      flushedAtMs = nowMs()
    }
    if (hold.isOver) {
      hasWaited = true
      await held.settle()
      if (!(await hold.room(limits.maxBusyMs))) return noRoom(limits.maxBusyMs)
    }
    // The time that others took is none of the sender's.
    if (hasWaited) lineAtMs += nowMs() - begunAtMs
    if (nowMs() - lineAtMs > limits.bodyDeadlineMs) return noLine(limits.bodyDeadlineMs)
  }
  return undefined
}

/** What a stream holds: the line that has not ended, what is being collected, and what is being appended. */
class HeldLines {
  readonly #batch: Batch
  readonly #hold: Hold
  readonly #maxLineBytes: number
  #unended = 0
  #collected = 0
  #appending = 0
  #counted = 0
  hasLineEnded = false

  constructor(batch: Batch, hold: Hold, maxLineBytes: number) {
    this.#batch = batch
    this.#hold = hold
    this.#maxLineBytes = maxLineBytes
  }

  add(piece: Buffer): void {
    const end = piece.lastIndexOf(newline)
    this.hasLineEnded = end >= 0
    this.#unended = this.hasLineEnded
      ? piece.length - end - 1
      : Math.min(this.#unended + piece.length, this.#maxLineBytes)
    this.#take(piece.length)
  }

  weigh(): void {
    this.#take((this.#batch.count - this.#counted) * eventBytes)
    this.#counted = this.#batch.count
  }

  /** `left`: bytes of the piece that are not collected yet. */
  async flush(left: number): Promise<void> {
    const kept = Math.min(left > 0 ? left : this.#unended, this.#collected)
    await this.#batch.flush()
    // By now the chunk before is acknowledged.
    this.#hold.shrink(this.#appending)
    this.#appending = this.#collected - kept
    this.#collected = kept
  }

  /** Nothing is held any more but the line that has not ended. */
  async settle(): Promise<void> {
    await this.flush(0)
    await this.flush(0)
  }

  #take(bytes: number): void {
    this.#hold.add(bytes)
    this.#collected += bytes
  }
}

const newline = 10

const stopping = (): EventError =>
  eventError('stopping', '', 'the server stops; send on from stoppedAt, with the same ids', true)

const noRoom = (waitedMs: number): EventError =>
  eventError(
    'server_busy',
    '',
    `no room came free within ${waitedMs} ms; send on from stoppedAt, with the same ids`,
    true,
  )

const noLine = (waitedMs: number): EventError =>
  eventError(
    'body_timeout',
    '',
    `no line ended within ${waitedMs} ms; send on from stoppedAt, with the same ids`,
    true,
  )
