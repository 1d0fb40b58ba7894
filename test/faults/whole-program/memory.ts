import { readFileSync, writeFileSync } from 'node:fs'

/** As Linux tells it: resident memory of a process now, and at most since its start or since `forgetPeak`. */
export const residentBytes = (pid: number): { readonly now: number; readonly peak: number } => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1])
  return { now: kilobytes('VmRSS') * 1_024, peak: kilobytes('VmHWM') * 1_024 }
}

export const forgetPeak = (pid: number): void => writeFileSync(`/proc/${pid}/clear_refs`, '5')

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`
