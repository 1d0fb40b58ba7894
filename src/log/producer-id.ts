import { requests } from 'kafkajs/src/protocol/requests/index.js'
import { EmbudoError } from '../define/error.ts'
import { backoffMs } from './clock.ts'
import type { Cluster, ClusterParts } from './cluster.ts'
import { KAFKA, kafkaErrorName } from './kafka-errors.ts'

/** The number by which brokers tell one producer's batches from another's, asked for when first needed. */
export class ProducerId {
  readonly #cluster: Cluster
  readonly #parts: ClusterParts
  #current: bigint | undefined
  #isAsking = false
  #failures = 0

  constructor(cluster: Cluster, parts: ClusterParts) {
    this.#cluster = cluster
    this.#parts = parts
  }

  get current(): bigint | undefined {
    return this.#current
  }

  /** Its epochs are used up: the next `ask` brings another one. */
  retire(): void {
    this.#current = undefined
  }

  /** Asks, unless that is under way. Is told how it ended: with an error, after a pause for the next attempt. */
  ask(ended: (error?: unknown) => void): void {
    if (this.#isAsking) return
    this.#isAsking = true
    const end = (error?: unknown) => {
      this.#isAsking = false
      ended(error)
    }
    const { clock, random } = this.#parts
    this.#request().then(
      (producerId) => {
        this.#current = producerId
        this.#failures = 0
        end()
      },
      // The coordinator of a broker that has just started takes a moment to load.
      (error: unknown) => clock.after(backoffMs(this.#failures++, random), () => end(error)),
    )
  }

  async #request(): Promise<bigint> {
    const broker = await this.#cluster.anyBroker()
    const ask = requests.InitProducerId.protocol({ version: 1 })
    const answer = await broker.call(ask({ transactionalId: null, transactionTimeout: 60_000 }))
    if (answer.errorCode === KAFKA.none) return BigInt(answer.producerId)
    const message = `The broker gives no producer id: ${kafkaErrorName(answer.errorCode)}.`
    throw new EmbudoError('log_unavailable', message, { retriable: true })
  }
}
