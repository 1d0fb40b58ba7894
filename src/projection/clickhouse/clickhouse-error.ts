import { EmbudoError, messageOf } from '../../define/error.ts'

/**
 * What went wrong at ClickHouse. Retriable, all of it: the outcome of an insert that failed is unknown until the
 * next look, and an answer like "too many parts" or "table is read-only" passes. What does not pass is shown by
 * the partition's status, attempt after attempt, and nothing is skipped meanwhile: see trial.ts.
 */
export const clickhouseError = (cause: unknown, what: string): EmbudoError =>
  cause instanceof EmbudoError
    ? cause
    : new EmbudoError('clickhouse_failed', `ClickHouse could not ${what}: ${messageOf(cause)}`, {
        cause,
        retriable: true,
        facts: codeOf(cause) === undefined ? {} : { clickhouseCode: codeOf(cause) },
      })

/** Whether it may be the rows' own fault. A body that was cut on its way is told by the same codes. */
export const isOfData = (error: unknown): boolean =>
  error instanceof EmbudoError && dataCodes.has(Number(error.facts.clickhouseCode))

/** https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp */
const dataCodes: ReadonlySet<number> = new Set([
  // A value that its column does not hold: 33 too few bytes, 53 a type that does not match, 69 out of bounds,
  // 70 no conversion, 117 incorrect, 128 and 131 too large, 321 out of its type's range, 349 a null, 407 a decimal.
  ...[33, 53, 69, 70, 117, 128, 131, 321, 349, 407],
  // What the library for Avro throws, in current versions and in older ones.
  ...[748, 1001],
])

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
