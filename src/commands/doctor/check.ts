import { EmbudoError, messageOf } from '../../define/error.ts'

/** What one look at the installation found. */
export interface Check {
  readonly name: string
  readonly state: 'ok' | 'warn' | 'fail'
  readonly found: string
  /** What to do, where there is something to do. */
  readonly mend?: string
}

export const ok = (name: string, found: string): Check => ({ name, state: 'ok', found })
export const warn = (name: string, found: string, mend: string): Check => ({
  name,
  state: 'warn',
  found,
  mend,
})
export const fail = (name: string, found: string, mend: string): Check => ({
  name,
  state: 'fail',
  found,
  mend,
})

/** A look that could not be taken is a finding, too. */
export const failed = (name: string, error: unknown, mend: string): Check =>
  error instanceof EmbudoError ? fail(name, 'not usable', error.message) : fail(name, messageOf(error), mend)
