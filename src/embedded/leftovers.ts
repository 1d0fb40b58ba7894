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
  #recorded: Recorded[] = []
  #writing: Promise<void> = Promise.resolve()

  constructor(dataDir: string) {
    this.#file = join(dataDir, 'processes.json')
  }

  async add(part: string, pids: readonly number[]): Promise<void> {
    for (const pid of pids) {
      const identity = await identify(pid)
      if (identity !== undefined) this.#recorded.push({ ...identity, part })
    }
    await this.#save()
  }

  /** Ends what runs of a part of this run, whose tether may have been killed, and forgets it. */
  async end(part: string, patienceMs: number): Promise<void> {
    const own = this.#recorded.filter((one) => one.part === part)
    await untilEnded(own, patienceMs)
    this.#recorded = this.#recorded.filter((one) => !own.includes(one))
    await this.#save()
  }

  /** Of all: what still runs is ended. */
  async clear(patienceMs: number): Promise<void> {
    await this.#writing
    await untilEnded(this.#recorded, patienceMs)
    await rm(this.#file, { force: true })
  }

  /** Ends what the last run left, `patienceMs` after the start of the wait at the latest. */
  async endLeftovers(options: {
    patienceMs: number
    progress: (part: string, what: string) => void
    signal?: AbortSignal | undefined
  }): Promise<void> {
    const recorded = parse(await readFile(this.#file, 'utf8').catch(() => '[]'))
    for (const { part, pid } of await stillAlive(recorded))
      options.progress(part, `waiting for process ${pid} of the last run to end`)
    await untilEnded(recorded, options.patienceMs, options.signal)
    await this.clear(0)
  }

  async #save(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write())
    await this.#writing
  }

  async #write(): Promise<void> {
    const next = `${this.#file}.next`
    await writeFile(next, JSON.stringify(this.#recorded, undefined, 2))
    await rename(next, this.#file)
  }
}

async function stillAlive(recorded: readonly Recorded[]): Promise<Recorded[]> {
  const alive = await Promise.all(recorded.map(isAlive))
  return recorded.filter((_, index) => alive[index])
}

/** Kills those that are left when patience is over. */
async function untilEnded(
  recorded: readonly Recorded[],
  patienceMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + patienceMs
  for (let left = await stillAlive(recorded); left.length > 0; left = await stillAlive(left)) {
    signal?.throwIfAborted()
    if (Date.now() > deadline) for (const { pid } of left) kill(pid)
    await sleep(50)
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
