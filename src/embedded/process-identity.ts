import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/** A process that cannot be taken for another one: pids are used again, a pid and its start time together are not. */
export interface ProcessIdentity {
  pid: number
  startedAt: string
}

/** Undefined when there is no such process, or only its exit status is left. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const startedAt = await startTimeOf(pid)
  return startedAt === undefined ? undefined : { pid, startedAt }
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await startTimeOf(identity.pid)) === identity.startedAt
}

async function startTimeOf(pid: number): Promise<string | undefined> {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
}

async function fromProc(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined)
  if (stat === undefined) return undefined
  // The name in parentheses may hold spaces and parentheses itself: fields are counted from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, startTicks] = [fields[0], fields[19]]
  if (state === 'Z' || state === 'X' || startTicks === undefined) return undefined
  // Ticks count from boot, so two boots could show the same pair.
  return `${await bootId()}:${startTicks}`
}

async function bootId(): Promise<string> {
  const id = await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => '')
  return id.trim()
}

async function fromPs(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'stat=,lstart=', '-p', String(pid)])
    const [state, ...start] = stdout.trim().split(/\s+/)
    return state === undefined || state.startsWith('Z') ? undefined : start.join(' ')
  } catch {
    return undefined
  }
}
