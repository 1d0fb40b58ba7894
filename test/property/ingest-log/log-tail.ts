import { type Consumer, Kafka, logLevel } from 'kafkajs'
import type { EmbeddedAddresses } from '../../../src/embedded/start.ts'
import { decoder, type LogRecord } from '../../faults/whole-program/log-reader.ts'

const patienceMs = 180_000

/** What is being written, as another program reads it all along: kafkajs's own consumer, plain avsc. */
export class LogTail implements AsyncDisposable {
  readonly #consumer: Consumer
  readonly #next = new Map<string, number>()
  readonly #waiting = new Set<() => void>()
  #fresh: LogRecord[] = []

  static async of({ kafkaBrokers, registryUrl }: EmbeddedAddresses, prefix: string): Promise<LogTail> {
    const kafka = new Kafka({ brokers: kafkaBrokers.split(','), logLevel: logLevel.NOTHING })
    const admin = kafka.admin()
    await admin.connect()
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix))
    await admin.disconnect()
    const tail = new LogTail(kafka.consumer({ groupId: `${prefix}tail`, maxWaitTimeInMs: 50 }))
    await tail.#read(topics, decoder(registryUrl))
    return tail
  }

  private constructor(consumer: Consumer) {
    this.#consumer = consumer
  }

  /** Waits for the places of an `Embudo-Position`; answers with all that has not been answered with before. */
  async upTo(position: string | undefined): Promise<LogRecord[]> {
    const places = (position ?? '').split(', ').filter((place) => place !== '')
    const deadline = performance.now() + patienceMs
    const missing = () => places.find((place) => !this.#has(place))
    for (let place = missing(); place !== undefined; place = missing()) {
      if (performance.now() > deadline) throw new Error(`${place} did not come`)
      await this.#more()
    }
    return this.#fresh.splice(0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#consumer.disconnect()
  }

  #has(place: string): boolean {
    const [, partition = '', offset] = /^(.+):(\d+)$/.exec(place) ?? []
    return (this.#next.get(partition) ?? 0) > Number(offset)
  }

  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, 1_000)
    this.#waiting.add(resolve)
    await promise
    clearTimeout(timer)
    this.#waiting.delete(resolve)
  }

  async #read(topics: string[], decode: (value: Buffer) => Promise<Record<string, unknown>>): Promise<void> {
    await this.#consumer.connect()
    await this.#consumer.subscribe({ topics, fromBeginning: true })
    await this.#consumer.run({
      eachBatch: async ({ batch: { topic, partition, messages } }) => {
        for (const { offset, key, value, headers = {} } of messages) {
          const texts = Object.fromEntries(
            Object.entries(headers).map(([name, header]) => [name, `${header}`]),
          )
          const { ce_id: id = '', ce_source: source = '', ce_type: type = '', ce_time: time = '' } = texts
          const data = await decode(value ?? Buffer.alloc(0))
          // What was read comes again where the consumer has lost its place in the group.
          const place = `${topic}:${partition}`
          if (Number(offset) < (this.#next.get(place) ?? 0)) continue
          this.#next.set(place, Number(offset) + 1)
          // What sagas append about what was sent is nobody's request.
          if (/^(saga|payments):/.test(source)) continue
          this.#fresh.push({
            ...{ topic, partition, offset: Number(offset), key: String(key), headers: texts },
            ...{ id, source, type, time, data },
          })
        }
        for (const wake of this.#waiting) wake()
      },
    })
  }
}
