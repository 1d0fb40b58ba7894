import { EmbudoError, isRetriable } from '../define/error.ts'

/**
 * Whether trying again may mend it. Of foreign errors that is the rule, since nobody can list what networks, disks and
 * a fail-over come up with. What it never mends: a mistake in the program, and what Postgres says of data, constraints,
 * limits and statements.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export const isPassing = (error: unknown): boolean => {
  // A broker that has just started may not know its topics yet. One that was made again is told by its mark.
  if (error instanceof EmbudoError) return isRetriable(error) || error.code === 'topic_unknown'
  // fetch hides lost connections in TypeErrors, with what was the matter as their cause.
  if (mistakes.some((mistake) => error instanceof mistake)) return (error as Error).cause !== undefined
  const code = (error as { code?: unknown } | null)?.code
  return !(typeof code === 'string' && /^(22|23|42|54)[0-9A-Z]{3}$/.test(code))
}

const mistakes = [TypeError, RangeError, ReferenceError, SyntaxError]
