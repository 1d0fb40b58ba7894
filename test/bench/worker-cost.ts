import { forgetPeak, residentBytes } from '../faults/whole-program/memory.ts'
import { cpuMicrosOf, cpuMicrosOfTree } from './cpu.ts'
import { median } from './median.ts'
import type { BenchParts } from './parts.ts'
import type { Limit } from './report.ts'

export interface Cost {
  /** Microseconds an event, of the worker and of the parts that the bench has started; empty without /proc. */
  readonly cpuMicros: Readonly<Record<string, number>>
  /** Of the worker process at its largest; undefined without /proc. */
  readonly residentMegabytes: number | undefined
}

/** Counts from now on until the function that it returns is called. */
export const watchCost = (worker: number, { pids }: BenchParts): ((events: number) => Cost) => {
  forgetResident(worker)
  const before = cpuOf(worker, pids)
  return (events) => ({
    cpuMicros: Object.fromEntries(
      Object.entries(cpuOf(worker, pids)).map(([name, micros]) => [
        name,
        (micros - (before[name] ?? 0)) / events,
      ]),
    ),
    residentMegabytes: residentPeak(worker),
  })
}

/** "µs of CPU an event: worker 3.1, postgres 6.0" */
export const cpuNoteOf = (costs: readonly Cost[]): string | undefined => {
  const used = Object.keys(costs[0]!.cpuMicros)
    .map((name) => ({ name, micros: median(costs.map(({ cpuMicros }) => cpuMicros[name] ?? 0)) }))
    .filter(({ micros }) => micros >= 0.3)
    .map(({ name, micros }) => `${name} ${micros.toFixed(1)}`)
  return used.length === 0 ? undefined : `µs of CPU an event: ${used.join(', ')}`
}

export const memoryLimit = (costs: readonly Cost[]): Limit => ({
  name: 'resident memory of the worker, at most',
  unit: 'MB',
  values: costs.map(({ residentMegabytes }) => residentMegabytes).filter((each) => each !== undefined),
  below: 600,
})

const cpuOf = (worker: number, parts: Readonly<Record<string, number>>): Record<string, number> => {
  const used = Object.entries(parts).map(([part, pid]) => [part, cpuMicrosOfTree(pid)] as const)
  return Object.fromEntries(
    [['worker', cpuMicrosOf(worker)] as const, ...used].filter(
      (each): each is readonly [string, number] => each[1] !== undefined,
    ),
  )
}

const residentPeak = (pid: number): number | undefined => {
  try {
    return residentBytes(pid).peak / 1e6
  } catch {
    return undefined
  }
}

const forgetResident = (pid: number): void => {
  try {
    forgetPeak(pid)
  } catch {
    // No /proc: residentPeak tells so.
  }
}
