/**
 * The one error of the project. `code` is stable and for programs, the message is for people and says what to
 * do; `retriable` tells a passing fault (a lost connection) from a fact that trying again will not change. The
 * edge turns it into HTTP or an exit status; the core never speaks HTTP.
 */
export class EmbudoError extends Error {
  readonly code: string
  readonly facts: Readonly<Record<string, unknown>>
  readonly retriable: boolean

  constructor(
    code: string,
    message: string,
    options: { facts?: Record<string, unknown>; retriable?: boolean; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'EmbudoError'
    this.code = code
    this.facts = options.facts ?? {}
    this.retriable = options.retriable ?? false
  }
}

export const isRetriable = (error: unknown): boolean => error instanceof EmbudoError && error.retriable

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
