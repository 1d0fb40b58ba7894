import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PartName } from '../../../src/embedded/part.ts'
import { type EmbeddedParts, startEmbedded } from '../../../src/embedded/start.ts'
import { lastingPorts } from '../../ports.ts'

/** A part that is not the program's own child: it can go and come back while the program runs. */
export class OutsidePart implements AsyncDisposable {
  readonly #part: PartName
  readonly #dataDir: string
  #parts: EmbeddedParts

  static async start(part: PartName): Promise<OutsidePart> {
    const dataDir = await mkdtemp(join(tmpdir(), `embudo-${part}-`))
    const [port = 0] = await lastingPorts(1)
    return new OutsidePart(part, dataDir, await startPart(part, dataDir, port))
  }

  private constructor(part: PartName, dataDir: string, parts: EmbeddedParts) {
    this.#part = part
    this.#dataDir = dataDir
    this.#parts = parts
  }

  /** As the configuration takes it. */
  get address(): string {
    return Object.values(this.#parts.addresses)[0] ?? ''
  }

  get port(): number {
    return Number(/:(\d+)(\/|$)/.exec(this.address)?.[1])
  }

  /** Ends it so, and starts it again at the same address; waits until it answers. */
  async restart(signal: 'SIGKILL' | 'SIGTERM' | 'SIGINT'): Promise<void> {
    const { port } = this
    const pid = this.#parts.pids[this.#part]?.at(-1)
    if (pid === undefined) throw new Error(`no process of ${this.#part} is known`)
    process.kill(pid, signal)
    await this.#parts.died
    await this.#parts[Symbol.asyncDispose]()
    this.#parts = await startPart(this.#part, this.#dataDir, port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts[Symbol.asyncDispose]()
    await rm(this.#dataDir, { recursive: true, force: true })
  }
}

const startPart = (part: PartName, dataDir: string, port: number): Promise<EmbeddedParts> =>
  startEmbedded({
    dataDir,
    parts: new Set([part]),
    ports: { [part]: port },
  })
