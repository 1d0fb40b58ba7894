import { startProcess } from './product.ts'
import { type CpuProfile, inspected, startProfile } from './profile.ts'
import type { Progress } from './progress.ts'
import type { Setting } from './setting.ts'
import { type Cost, watchCost } from './worker-cost.ts'

/** What a worker process took to bring readers through the topic of leads. */
export interface Pass extends Cost {
  /** Until the last reader is through. */
  readonly perSecond: number
  readonly perSecondOf: ReadonlyMap<string, number>
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
  const costOf = watchCost(pid, parts)
  const reachedMs = await watch.reached(readers, leads, records, generation)
  const cost = costOf(records)
  const perSecondOf = new Map(
    [...reachedMs].map(([reader, atMs]) => [reader, records / ((atMs - begunMs) / 1000)]),
  )
  return {
    perSecond: Math.min(...perSecondOf.values()),
    perSecondOf,
    ...cost,
    profile: await endProfile?.(),
  }
}
