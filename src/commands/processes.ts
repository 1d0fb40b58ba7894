import type { RunFile } from '../run-file.ts'

/** A killed `up` leaves its file behind: it counts only while one of its processes lives. */
export const isRunning = (run: RunFile): boolean => Object.values(run.pids).flat().some(isAlive)

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It exists and belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
