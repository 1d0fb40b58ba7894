import { readFileSync } from 'node:fs'

/** Microseconds of processor time that a process has used so far; undefined where the system has no /proc. */
export const cpuMicrosOf = (pid: number): number | undefined => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) * microsPerTick
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
export const cpuNote = (micros: readonly (number | undefined)[]): string | undefined => {
  const known = micros.filter((each) => each !== undefined).toSorted((a, b) => a - b)
  const middle = known[known.length >> 1]
  return middle === undefined ? undefined : `${middle.toFixed(1)} µs of CPU an event`
}
