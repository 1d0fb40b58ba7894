import { execFileSync } from 'node:child_process'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { identify, isAlive, type ProcessIdentity } from '../src/embedded/process-identity.ts'

/**
 * These processes and all their children, told apart from later ones that get the same pids. To be asked for
 * before any of them dies: afterwards nobody knows whose children they were.
 */
export const withDescendants = async (pids: readonly number[]): Promise<ProcessIdentity[]> => {
  const table = execFileSync('ps', ['-e', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
  const found = new Set(pids)
  for (let before = -1; before !== found.size; ) {
    before = found.size
    for (const [pid = 0, parent = 0] of table) if (found.has(parent)) found.add(pid)
  }
  const identities = await Promise.all([...found].map(identify))
  return identities.filter((identity) => identity !== undefined)
}

export const alive = async (processes: readonly ProcessIdentity[]): Promise<ProcessIdentity[]> => {
  const live = await Promise.all(processes.map(isAlive))
  return processes.filter((_, index) => live[index])
}

export const signalTo = async (
  processes: readonly ProcessIdentity[],
  signal: NodeJS.Signals,
): Promise<void> => {
  for (const { pid } of await alive(processes)) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended in between.
    }
  }
}

export const untilGone = async (
  processes: readonly ProcessIdentity[],
  patienceMs = 120_000,
): Promise<void> => {
  let left: ProcessIdentity[] = []
  const allGone = async () => {
    left = await alive(processes)
    return left.length === 0
  }
  await until('all processes have ended', allGone, patienceMs).catch(() => {
    throw new Error(`still running after ${patienceMs} ms:\n${describe(left)}`)
  })
}

/** Polls until it holds; throws after `patienceMs`. */
export const until = async (
  what: string,
  holds: () => Promise<boolean> | boolean,
  patienceMs = usualPatienceMs,
): Promise<void> => {
  const { isSo } = await poll(holds, (seen) => seen, patienceMs, 20)
  if (!isSo) throw new Error(`not within ${patienceMs} ms: ${what}`)
}

/** As `until`, and answers what was seen; fails with what was seen last. */
export const eventually = async <T>(
  look: () => Promise<T>,
  holds: (seen: T) => boolean,
  patienceMs = usualPatienceMs,
): Promise<T> => {
  const { isSo, seen } = await poll(look, holds, patienceMs, 5)
  if (!isSo) throw new Error(`not so within ${patienceMs} ms: ${JSON.stringify(seen)}`)
  return seen
}

const usualPatienceMs = 180_000

/** The most that one round counts: a process that stood still has not been waiting. */
const longestRoundMs = 1_000

const poll = async <T>(
  look: () => Promise<T> | T,
  holds: (seen: T) => boolean,
  patienceMs: number,
  everyMs: number,
): Promise<{ isSo: boolean; seen: T }> => {
  for (let waitedMs = 0; ; ) {
    const begun = performance.now()
    const seen = await look()
    const isSo = holds(seen)
    if (isSo || waitedMs >= patienceMs) return { isSo, seen }
    await delay(everyMs)
    waitedMs += Math.min(performance.now() - begun, longestRoundMs)
    // Timers run before sockets are read: the last look has to come after both.
    if (waitedMs >= patienceMs) await turn()
  }
}

const describe = (processes: readonly ProcessIdentity[]): string => {
  const pids = processes.map(({ pid }) => pid).join(',')
  return execFileSync('ps', ['-o', 'pid=,ppid=,stat=,args=', '-p', pids], { encoding: 'utf8' })
}
