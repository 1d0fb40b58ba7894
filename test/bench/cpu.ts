import { readFileSync } from 'node:fs'
import { median } from './median.ts'

/** Microseconds of processor time that a process has used so far; undefined where the system has no /proc. */
export const cpuMicrosOf = (pid: number): number | undefined => {
  const [user, system] = cpuFieldsOf(pid) ?? []
  return user === undefined || system === undefined ? undefined : user + system
}

/** The same with its children, those that have ended included: Postgres has a process for each connection. */
export const cpuMicrosOfTree = (pid: number): number | undefined => {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    const living = children.reduce((sum, child) => sum + (cpuMicrosOf(Number(child)) ?? 0), 0)
    return cpuFieldsOf(pid)!.reduce((sum, micros) => sum + micros, living)
  } catch {
    return undefined
  }
}

/** In user and in system mode, and the same of its children that have ended. */
const cpuFieldsOf = (pid: number): readonly number[] | undefined => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return fields.slice(11, 15).map((ticks) => Number(ticks) * microsPerTick)
  } catch {
    return undefined
  }
}

/** The clock of /proc ticks a hundred times a second on every Linux. */
const microsPerTick = 10_000

/** What a task of its own has used since `begun`, for each event. */
export const ownCpuMicros = (begun: NodeJS.CpuUsage, events: number): number => {
  const { user, system } = process.cpuUsage(begun)
  return (user + system) / events
}

/** "12.3 µs of CPU an event" */
export const cpuNote = (
  rounds: readonly { readonly cpuMicros: number | undefined }[],
): string | undefined => {
  const known = rounds.map(({ cpuMicros }) => cpuMicros).filter((each) => each !== undefined)
  return known.length === 0 ? undefined : `${median(known).toFixed(1)} µs of CPU an event`
}
