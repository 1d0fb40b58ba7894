import type { Pool } from 'pg'
import type { PartitionOf } from '../consumer/positions.ts'
import type { Corrections } from '../dead-letter/correction.ts'
import { subjectOf } from '../dead-letter/letters.ts'
import { topicName } from '../define/catalog.ts'
import { EmbudoError, messageOf } from '../define/error.ts'
import { duplicatesWithin } from '../define/topic.ts'
import { type Codec, timeOf } from '../log/codec.ts'
import { type Log, partitionFor } from '../log/port.ts'
import type { PostgresProjection, Projection } from './definition.ts'
import { listGenerations } from './generations.ts'
import { openHistory } from './postgres/partition-history.ts'
import { positionOf, type RepairRowsParts, repairRows } from './postgres/repair-rows.ts'

/** Whose rows: subjects by name, or all that have events that happened within a time (half-open, ISO 8601). */
export type RepairOf =
  | { readonly subjects: readonly string[] }
  | { readonly from: string; readonly to: string }

export interface RepairParts {
  /** Commits synchronously. */
  readonly pool: Pool
  readonly log: Log
  readonly codec: Codec
  readonly prefix: string
  readonly projections: readonly Projection[]
  /** Every decision about a dead letter up to now. */
  readonly corrections?: () => Promise<Corrections>
}

export interface Repaired {
  readonly name: string
  readonly subjects: number
  /** Rows that were not what the log says, over all generations. */
  readonly changed: number
  /** Left as they are; the first hundred. */
  readonly failed: readonly RepairFailure[]
}

export interface RepairFailure {
  /** The subject, or the key of a tally's row. */
  readonly key: string
  readonly code: string
  readonly detail: string
}

/** In records of the log, which is read once or more often; `total` may grow. */
export interface RepairProgress {
  readonly read: number
  readonly total: number
}

/**
 * Folds the rows of some subjects again from the log and replaces those that differ, in every generation that this
 * code feeds, while the projectors go on. Throws `unknown_projection`, `not_repairable`, `log_beginning_lost`,
 * `log_changed`, `repair_too_large`, `repair_disturbed` (retriable).
 */
export const repairProjection = async (
  parts: RepairParts,
  name: string,
  what: RepairOf,
  { signal, onProgress }: { signal: AbortSignal; onProgress?: (progress: RepairProgress) => void },
): Promise<Repaired> => {
  const projection = repairable(parts.projections, name)
  const progress = counting(onProgress)
  const rows: RepairRowsParts = { ...parts, signal, progress, corrections: await parts.corrections?.() }
  const topic = topicName(parts.prefix, projection.topic)
  let subjects = 'subjects' in what ? new Set(what.subjects).size : 0
  const failed = new Map<string, unknown>()
  let changed = 0
  const { length: partitions } = await parts.log.bounds(topic)
  const generations = (await listGenerations(parts.pool)).filter(
    (each) => each.projection === name && each.version === projection.version && each.state !== 'retired',
  )
  for (const { generation } of generations) {
    const repair = async (
      partition: number,
      some: ReadonlySet<string>,
      deletesUnknown = false,
    ): Promise<ReadonlySet<string>> => {
      if (some.size === 0) return some
      const of = { reader: name, generation, topic, partition }
      const repaired = await repairRows(projection, of, some, deletesUnknown, rows)
      changed += repaired.changed
      for (const [key, error] of repaired.failed) failed.set(key, error)
      return repaired.known
    }
    if ('subjects' in what) await repairSubjects(what.subjects, partitions, repair)
    else {
      let found = 0
      for (let partition = 0; partition < partitions; partition++) {
        const of = { reader: name, generation, topic, partition }
        const some = await subjectsWithin(projection, of, what, rows)
        found += some.size
        await repair(partition, some)
      }
      // The same ones in each generation, as far as that has come.
      subjects = Math.max(subjects, found)
    }
  }
  return { name, subjects, changed, failed: [...failed].slice(0, maxFailed).map(failureOf) }
}

const repairable = (projections: readonly Projection[], name: string): PostgresProjection => {
  const projection = projections.find((candidate) => candidate.name === name)
  if (projection === undefined) {
    throw new EmbudoError(
      'unknown_projection',
      `there is no projection ${name}; there are ${projections.map((each) => each.name).join(', ')}`,
    )
  }
  if (projection.kind === 'event tables') {
    throw new EmbudoError(
      'not_repairable',
      `${name} is in ClickHouse, where every event is a row and none is folded; if rows are wrong, rebuild it: npx embudo projections rebuild ${name}`,
    )
  }
  return projection
}

type RepairPartition = (
  partition: number,
  subjects: ReadonlySet<string>,
  deletesUnknown?: boolean,
) => Promise<ReadonlySet<string>>

/**
 * Where their events are: on the partition that Kafka's default placement names, unless somebody writes the topic
 * with another one. Only a subject that no partition knows has its row deleted.
 */
const repairSubjects = async (
  subjects: readonly string[],
  partitions: number,
  repair: RepairPartition,
): Promise<void> => {
  const homes = Map.groupBy(subjects, (subject) => partitionFor(Buffer.from(subject), partitions))
  const missing = new Set(subjects)
  for (const [partition, some] of homes) {
    for (const subject of await repair(partition, new Set(some))) missing.delete(subject)
  }
  for (let partition = 0; partition < partitions && missing.size > 0; partition++) {
    const elsewhere = missing.difference(new Set(homes.get(partition)))
    for (const subject of await repair(partition, elsewhere)) missing.delete(subject)
  }
  for (const [partition, some] of homes) await repair(partition, missing.intersection(new Set(some)), true)
}

/** Who has events in there that happened within the time, up to the position. */
const subjectsWithin = async (
  projection: PostgresProjection,
  of: PartitionOf,
  { from, to }: { readonly from: string; readonly to: string },
  parts: RepairRowsParts,
): Promise<ReadonlySet<string>> => {
  const subjects = new Set<string>()
  const position = await positionOf(parts.pool, of)
  if (position === undefined) return subjects
  parts.progress.begin(position.nextOffset)
  await using history = await openHistory(position, duplicatesWithin(projection.topic), parts)
  for await (const records of history.before(position.nextOffset)) {
    for (const record of records) {
      const time = timeOf(record)
      if (record.key !== null && time >= from && time < to) subjects.add(subjectOf(record))
    }
    parts.progress.advance(records.length)
    if (subjects.size > maxSubjects) {
      throw new EmbudoError(
        'repair_too_large',
        `more than ${maxSubjects} subjects of one partition have events between ${from} and ${to}: rebuild ${projection.name} instead`,
      )
    }
  }
  return subjects
}

/** Of one partition: their names are held in memory, and each 50,000 of them are one more reading of it. */
const maxSubjects = 500_000

const maxFailed = 100

const failureOf = ([key, error]: readonly [string, unknown]): RepairFailure => ({
  key,
  code: error instanceof EmbudoError ? error.code : 'not_applicable',
  detail: messageOf(error),
})

const counting = (onProgress: ((progress: RepairProgress) => void) | undefined) => {
  let read = 0
  let total = 0
  return {
    begin: (records: number) => {
      total += records
      onProgress?.({ read, total })
    },
    advance: (records: number) => {
      read += records
      onProgress?.({ read: Math.min(read, total), total })
    },
  }
}
