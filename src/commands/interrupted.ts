import { EmbudoError } from '../define/error.ts'
import type { CommandContext } from './context.ts'

/** What Ctrl-C stopped in the middle fails with whatever it was doing: told as what it is. */
export const unlessInterrupted = async <T>(
  { signal }: Pick<CommandContext, 'signal'>,
  work: () => Promise<T>,
  what: string,
): Promise<T> => {
  try {
    return await work()
  } catch (cause) {
    if (signal.aborted) throw new EmbudoError('interrupted', what, { cause })
    throw cause
  }
}
