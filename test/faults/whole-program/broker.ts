import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedParts, startEmbedded } from '../../../src/embedded/start.ts'

/** Kafka that is not the program's own child: it can go and come back while the program runs. */
export class Broker implements AsyncDisposable {
  readonly #dataDir: string
  #parts: EmbeddedParts

  static async start(): Promise<Broker> {
    const dataDir = await mkdtemp(join(tmpdir(), 'embudo-broker-'))
    return new Broker(dataDir, await startKafka(dataDir))
  }

  private constructor(dataDir: string, parts: EmbeddedParts) {
    this.#dataDir = dataDir
    this.#parts = parts
  }

  get address(): string {
    return this.#parts.addresses.kafkaBrokers ?? ''
  }

  /** Ends it so, and starts it again at the same address; waits until it answers. */
  async restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { address } = this
    const pid = this.#parts.pids.kafka?.at(-1)
    if (pid === undefined) throw new Error('no process of the broker is known')
    process.kill(pid, signal)
    await this.#parts.died
    await this.#parts[Symbol.asyncDispose]()
    this.#parts = await startKafka(this.#dataDir, Number(address.split(':')[1]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts[Symbol.asyncDispose]()
    await rm(this.#dataDir, { recursive: true, force: true })
  }
}

const startKafka = (dataDir: string, port?: number): Promise<EmbeddedParts> =>
  startEmbedded({
    dataDir,
    parts: new Set(['kafka']),
    ...(port === undefined ? {} : { ports: { kafka: port } }),
  })
