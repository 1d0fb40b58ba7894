import type { LogRecord } from '../log/port.ts'

interface Stored {
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

/** A record that is not, or not as it is, in fetched bytes: one that was parked, or one that was corrected. */
export class StoredRecord implements LogRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly #headers: Readonly<Record<string, string>>

  constructor({ offset, timestamp, key, value, headers }: Stored) {
    this.offset = offset
    this.timestamp = timestamp
    this.key = key
    this.value = value
    this.#headers = headers
  }

  static edited(record: LogRecord, value: Buffer): StoredRecord {
    const { offset, timestamp, key } = record
    return new StoredRecord({ offset, timestamp, key, value, headers: record.headers() })
  }

  header(name: string): string | undefined {
    return this.#headers[name]
  }

  copyHeader(name: string, into: Buffer, at: number): number {
    const text = this.#headers[name]
    if (text === undefined) return -1
    into.write(text, Math.min(at, into.length))
    return Buffer.byteLength(text)
  }

  headers(): Record<string, string> {
    return { ...this.#headers }
  }
}
