import { forgetPeak, residentBytes } from '../faults/whole-program/memory.ts'
import { cpuMicrosOf, cpuMicrosOfTree } from './cpu.ts'
import { startProcess } from './product.ts'
import { type CpuProfile, inspected, startProfile } from './profile.ts'
import type { Progress } from './progress.ts'
import type { Limit } from './report.ts'
import type { Setting } from './setting.ts'

/** What a worker process took to bring readers through the topic of leads. */
export interface Pass {
  /** Until the last reader is through. */
  readonly perSecond: number
  readonly perSecondOf: ReadonlyMap<string, number>
  /** Microseconds an event, of the worker and of the parts that the bench has started; empty without /proc. */
  readonly cpuMicros: Readonly<Record<string, number>>
  /** Of the worker process at its largest; undefined without /proc. */
  readonly residentMegabytes: number | undefined
  /** Where one was asked for. */
  readonly profile: CpuProfile | undefined
}

export interface PassOf {
  readonly readers: readonly string[]
  readonly records: number
  /** Absent: the live one. */
  readonly generation?: number
}

/** A worker process. */
export interface Worker {
  readonly pid: number
  readonly logFile: string
}

/** A worker process goes through the log; then, while it still runs, what comes after. */
export const catchUp = async (
  setting: Setting,
  watch: Progress,
  of: PassOf,
  andThen: (worker: Worker) => Promise<void> = async () => {},
): Promise<Pass> => {
  const forked = Promise.withResolvers<Worker>()
  const passing = forked.promise.then((worker) => followPass(setting, watch, worker, of))
  passing.catch(() => {})
  await using _worker = await startProcess('worker', setting.parts, {
    onForked: forked.resolve,
    ...(setting.isProfiled ? { nodeOptions: inspected } : {}),
  })
  const pass = await passing
  await andThen(await forked.promise)
  return pass
}

/** From when the worker takes a first partition until the readers are through all of them. */
export const followPass = async (
  { leads, parts, isProfiled }: Setting,
  watch: Progress,
  { pid, logFile }: Worker,
  { readers, records, generation }: PassOf,
): Promise<Pass> => {
  const begunMs = await watch.begun(readers, leads, generation)
  const endProfile = isProfiled ? await startProfile(logFile) : undefined
  const cpuBefore = cpuOf(pid, parts.pids)
  forgetResident(pid)
  const reachedMs = await watch.reached(readers, leads, records, generation)
  const cpuAfter = cpuOf(pid, parts.pids)
  const perSecondOf = new Map(
    [...reachedMs].map(([reader, atMs]) => [reader, records / ((atMs - begunMs) / 1000)]),
  )
  return {
    perSecond: Math.min(...perSecondOf.values()),
    perSecondOf,
    cpuMicros: Object.fromEntries(
      Object.entries(cpuAfter).map(([name, micros]) => [name, (micros - (cpuBefore[name] ?? 0)) / records]),
    ),
    residentMegabytes: residentPeak(pid),
    profile: await endProfile?.(),
  }
}

export const memoryLimit = (megabytes: readonly (number | undefined)[]): Limit => ({
  name: 'resident memory of the worker, at most',
  unit: 'MB',
  values: megabytes.filter((each) => each !== undefined),
  below: 600,
})

/** Megabytes. */
export const residentPeak = (pid: number): number | undefined => {
  try {
    return residentBytes(pid).peak / 1e6
  } catch {
    return undefined
  }
}

export const forgetResident = (pid: number): void => {
  try {
    forgetPeak(pid)
  } catch {
    // No /proc: residentPeak tells so.
  }
}

const cpuOf = (worker: number, parts: Readonly<Record<string, number>>): Record<string, number> => {
  const all = { worker: cpuMicrosOf(worker), ...mapped(parts, cpuMicrosOfTree) }
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, number] => !!entry[1]))
}

const mapped = <From, To>(of: Readonly<Record<string, From>>, to: (from: From) => To): Record<string, To> =>
  Object.fromEntries(Object.entries(of).map(([name, value]) => [name, to(value)]))
