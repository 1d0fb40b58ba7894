import { EmbudoError, messageOf } from '../../define/error.ts'

/**
 * What went wrong at ClickHouse. Retriable, all of it: the outcome of an insert that failed is unknown until the
 * next look, and an answer like "too many parts" or "table is read-only" passes. What does not pass is shown by
 * the partition's status, attempt after attempt, and nothing is skipped meanwhile.
 */
export const clickhouseError = (cause: unknown, what: string): EmbudoError =>
  cause instanceof EmbudoError
    ? cause
    : new EmbudoError('clickhouse_failed', `ClickHouse could not ${what}: ${messageOf(cause)}`, {
        cause,
        retriable: true,
        facts: codeOf(cause) === undefined ? {} : { clickhouseCode: codeOf(cause) },
      })

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
