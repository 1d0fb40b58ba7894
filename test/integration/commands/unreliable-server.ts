import { createServer, type Server } from 'node:http'
import * as generated from '../../../schemas/events.generated.ts'
import { catalogOf } from '../../../src/define/catalog.ts'
import { Admission } from '../../../src/ingest/admission.ts'
import { ingest } from '../../../src/ingest/ingest.ts'
import { uuidV7 } from '../../../src/ingest/uuid-v7.ts'
import { eventValidator } from '../../../src/ingest/validate.ts'
import type { EventToAppend } from '../../../src/log/event-record.ts'
import type { Appended, AppendRecord, EncodedRecord, LogFailure } from '../../../src/log/port.ts'
import { passThrough } from '../../../src/privacy/pass-through.ts'
import { lastingPorts } from '../../ports.ts'

export type Appending = 'appended' | 'appended and not acknowledged' | 'not appended'

/**
 * The real ingestion in front of a log that is a list in memory and outlives its servers. `appending` says how
 * the n-th call of the log's append goes; `kill` ends every connection and the server, as `kill -9` would.
 */
export class UnreliableServer implements AsyncDisposable {
  readonly log: EventToAppend[] = []
  appends = 0
  readonly #appending: (append: number) => Appending
  readonly #waiting = new Map<string, EventToAppend>()
  #server: Server | undefined
  #port: number | undefined

  constructor(appending: (append: number) => Appending = () => 'appended') {
    this.#appending = appending
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    const answer = ingest({
      log: { append: async (records) => this.#append(records) },
      validate: eventValidator({
        catalog: catalogOf(generated),
        personal: passThrough,
        nowMs: Date.now,
        newId: uuidV7(),
      }),
      toRecord: (event) => this.#record(event),
      wait: async () => undefined,
      admission: new Admission({ maxBytes: 64 * 1024 * 1024 }),
      onError: (error) => {
        throw error
      },
    })
    const server = createServer((request, response) => answer(request, response))
    server.keepAliveTimeout = 600_000
    if (this.#port === undefined) [this.#port] = await lastingPorts(1)
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#server = server
  }

  async kill(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  #record(event: EventToAppend): EncodedRecord {
    const key = `${event.source} ${event.id}`
    this.#waiting.set(key, event)
    return {
      topic: event.event.topic.name,
      partition: 0,
      body: Buffer.from(key),
    }
  }

  #append(records: readonly AppendRecord[]): (Appended | LogFailure)[] {
    const how = this.#appending(this.appends++)
    return records.map((record) => {
      const { topic, partition } = record
      const offset = this.log.length
      if (how !== 'not appended') this.log.push(this.#waiting.get(keyOf(record))!)
      if (how === 'appended') return { topic, partition, offset }
      return { failed: true, code: 'log_timeout', detail: 'no answer in time', retriable: true }
    })
  }
}

const keyOf = (record: AppendRecord): string => ('body' in record ? record.body : record.key).toString()
