import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EmbudoError } from '../define/error.ts'
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts'

interface Holder extends ProcessIdentity {
  since: string
}

/**
 * One program at a time may use a data folder. The lock is a file that names its holder, made by `link`, which
 * either succeeds whole or fails; a holder that was killed is recognised by its pid and start time, so nobody
 * ever has to remove the file by hand. The parts keep locks of their own beneath it.
 */
export async function lockDataFolder(
  dataDir: string,
  now: () => Date = () => new Date(),
): Promise<AsyncDisposable> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const lock = join(dataDir, 'lock.json')
  const own = `${lock}.${randomUUID()}`
  const self = await identify(process.pid)
  const content = JSON.stringify({ ...self, since: now().toISOString() })
  await writeFile(own, content)
  try {
    while (!(await linked(own, lock))) {
      const found = await readFile(lock, 'utf8').catch(() => '')
      const holder = parseHolder(found)
      if (holder !== undefined && (await isAlive(holder))) throw heldBy(holder, dataDir)
      await removeStale(lock, found)
    }
  } finally {
    await rm(own, { force: true })
  }
  return {
    async [Symbol.asyncDispose]() {
      if ((await readFile(lock, 'utf8').catch(() => '')) === content) await rm(lock, { force: true })
    },
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** Moves the file aside before it goes: if another program took the lock in between, it is put back. */
async function removeStale(lock: string, stale: string): Promise<void> {
  const aside = `${lock}.${randomUUID()}`
  try {
    await rename(lock, aside)
  } catch {
    return
  }
  if ((await readFile(aside, 'utf8')) !== stale) await linked(aside, lock)
  await rm(aside, { force: true })
}

function parseHolder(content: string): Holder | undefined {
  try {
    const { pid, startedAt, since } = JSON.parse(content)
    return typeof pid === 'number' ? { pid, startedAt: String(startedAt), since: String(since) } : undefined
  } catch {
    return undefined
  }
}

const heldBy = (holder: Holder, dataDir: string) =>
  new EmbudoError(
    'data_folder_held',
    `The data folder ${dataDir} is in use by process ${holder.pid}, since ${holder.since}. ` +
      `Stop that one (kill ${holder.pid}), or set EMBUDO_DATA_DIR to another folder.`,
    { facts: { dataDir, pid: holder.pid, since: holder.since } },
  )
