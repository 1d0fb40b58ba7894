import { count } from '../output.ts'
import type { RejectsFile } from './rejects.ts'
import { readState, type Standing } from './sending-state.ts'

/** Rejects that nobody mended so far, and the file that they stand in. */
interface OpenRejects {
  readonly path: string
  readonly events: number
}

/** Of this run and of the ones before it, by file. */
export const openRejects = (rejects: RejectsFile, standings: readonly Standing[]): OpenRejects[] => {
  const open = new Map<string, number>()
  for (const found of standings) {
    if (found.is === 'new' || found.state.rejected === 0 || areMended(found.state.rejects)) continue
    // Those of several files may stand in one.
    open.set(found.state.rejects, (open.get(found.state.rejects) ?? 0) + found.state.rejected)
  }
  if (rejects.count > 0) open.set(rejects.path, (open.get(rejects.path) ?? 0) + rejects.count)
  return [...open].map(([path, events]) => ({ path, events }))
}

export const openRejectsText = ({ path, events }: OpenRejects): string => {
  const what = events === 1 ? 'one event was' : `${count(events)} events were`
  return `${what} not accepted: ${path} says why; mend them there, then: npx embudo send ${path}`
}

/** Sent themselves, and all of them taken. */
const areMended = (path: string): boolean => {
  try {
    const state = readState(path)
    return state !== undefined && state.finishedAt !== null && state.rejected === 0
  } catch {
    return false
  }
}
