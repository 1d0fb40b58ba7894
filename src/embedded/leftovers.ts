import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts'

type Recorded = ProcessIdentity & { part: string }

/**
 * The processes of the last run, kept in the data folder. Normally their tether has ended them; after `kill -9`
 * of the program alone they may still be stopping, and if their tether was killed too they run on. The next
 * start waits for them and, past the deadline, kills them: those it recorded and no other, since pid and start
 * time must both agree.
 */
export class ProcessRecord {
  readonly #file: string
  readonly #recorded: Recorded[] = []
  #writing: Promise<void> = Promise.resolve()

  constructor(dataDir: string) {
    this.#file = join(dataDir, 'processes.json')
  }

  async add(part: string, pids: readonly number[]): Promise<void> {
    for (const pid of pids) {
      const identity = await identify(pid)
      if (identity !== undefined) this.#recorded.push({ ...identity, part })
    }
    this.#writing = this.#writing.then(() => this.#write())
    await this.#writing
  }

  async clear(): Promise<void> {
    await this.#writing
    await rm(this.#file, { force: true })
  }

  /** Ends what the last run left, `patienceMs` after the start of the wait at the latest. */
  async endLeftovers(options: {
    patienceMs: number
    progress: (part: string, what: string) => void
    signal?: AbortSignal | undefined
  }): Promise<void> {
    let left = await this.#alive()
    for (const { part, pid } of left)
      options.progress(part, `waiting for process ${pid} of the last run to end`)
    const deadline = Date.now() + options.patienceMs
    while (left.length > 0) {
      options.signal?.throwIfAborted()
      if (Date.now() > deadline) for (const { pid } of left) kill(pid)
      await sleep(50)
      left = await this.#alive()
    }
    await this.clear()
  }

  async #alive(): Promise<Recorded[]> {
    const recorded = parse(await readFile(this.#file, 'utf8').catch(() => '[]'))
    const alive = await Promise.all(recorded.map(isAlive))
    return recorded.filter((_, index) => alive[index])
  }

  async #write(): Promise<void> {
    const next = `${this.#file}.next`
    await writeFile(next, JSON.stringify(this.#recorded, undefined, 2))
    await rename(next, this.#file)
  }
}

function parse(content: string): Recorded[] {
  try {
    const found: unknown = JSON.parse(content)
    return Array.isArray(found) ? found.filter(isRecorded) : []
  } catch {
    return []
  }
}

const isRecorded = (value: unknown): value is Recorded =>
  typeof value === 'object' &&
  value !== null &&
  'pid' in value &&
  Number.isSafeInteger(value.pid) &&
  'startedAt' in value &&
  typeof value.startedAt === 'string'

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself in the meantime.
  }
}
