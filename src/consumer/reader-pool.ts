import type { Log, LogBatch, LogReader, ReaderOptions } from '../log/port.ts'

/** A reader of which a partition may be read several times at once: the log's own readers read it once each. */
export class ReaderPool implements LogReader {
  readonly #log: Log
  readonly #options: ReaderOptions
  readonly #readers: { readonly reader: LogReader; readonly reading: Set<string> }[] = []

  constructor(log: Log, options: ReaderOptions) {
    this.#log = log
    this.#options = options
  }

  async *read(
    topic: string,
    partition: number,
    from: number,
    signal: AbortSignal,
    until?: number,
  ): AsyncGenerator<LogBatch, void, void> {
    const key = `${topic}/${partition}`
    const { reader, reading } = this.#readers.find((one) => !one.reading.has(key)) ?? this.#open()
    reading.add(key)
    try {
      yield* reader.read(topic, partition, from, signal, until)
    } finally {
      reading.delete(key)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#readers.map(({ reader }) => reader[Symbol.asyncDispose]()))
  }

  #open() {
    const opened = { reader: this.#log.reader(this.#options), reading: new Set<string>() }
    this.#readers.push(opened)
    return opened
  }
}
