import { isRetriable } from './error.ts'

/** On the clock of who waits. */
export type Pause = (milliseconds: number) => Promise<void>

export interface Patience {
  /** In all. */
  readonly attempts: number
  /** Default: what is marked as retriable. */
  readonly mayPass?: (error: unknown, attempt: number) => boolean
}

/** Asks again, a moment later, while what went wrong may pass. */
export const patiently = async <T>(
  pause: Pause,
  { attempts, mayPass = isRetriable }: Patience,
  ask: () => Promise<T>,
): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask()
    } catch (error) {
      if (attempt === attempts || !mayPass(error, attempt)) throw error
      await pause(100)
    }
  }
}
