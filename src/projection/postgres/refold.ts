import { subjectOf } from '../../dead-letter/letters.ts'
import { isRetriable } from '../../define/error.ts'
import type { DomainEvent } from '../../define/event.ts'
import type { ReadModelDefinition, Row } from '../../define/read-model.ts'
import type { TallyDefinition } from '../../define/tally.ts'
import type { Codec } from '../../log/codec.ts'
import type { LogRecord } from '../../log/port.ts'
import type { PostgresProjection } from '../definition.ts'
import { countEvent, evolveRow, type KnownRow } from './fold.ts'

/**
 * What a partition's records make of a projection's rows, folded anew and held in memory: a row for each subject of
 * a read model, for each key of a tally. What waits in the dead letters is left out: of a read model a subject's events
 * from its first parked one on, since that is where the projector stopped.
 */
export interface Refold {
  /** `parkedFrom`: what waits in the dead letters, as open-letters.ts says. */
  take(records: readonly LogRecord[], parkedFrom: ReadonlyMap<string, number>): Promise<void>
  /** By key; null where the fold ends in no row. What no event touched is not in here. */
  readonly rows: ReadonlyMap<string, Row | null>
  /** Subjects, or records of a tally by their offset, that were left out because a dead letter is open. */
  readonly leftOut: ReadonlyMap<string, number>
  /** Those that this code cannot fold, though no dead letter says so; a subject is left out from that event on. */
  readonly unfoldable: ReadonlyMap<string, unknown>
  /** Forgets the rows of other keys, and takes them no more. */
  narrow(isWanted: (key: string) => boolean): void
}

export interface RefoldOptions {
  readonly projection: PostgresProjection
  readonly codec: Codec
  readonly topic: string
  readonly partition: number
  /** Whose events are folded; default: everybody's. */
  readonly isOf?: (subject: string) => boolean
  /** Which rows are wanted; default: all. Of a read model these are subjects. */
  readonly isWanted?: (key: string) => boolean
}

export const refold = (options: RefoldOptions): Refold => {
  const { projection, codec, topic, partition, isOf = () => true } = options
  let isWanted = options.isWanted
  const leftOut = new Map<string, number>()
  const unfoldable = new Map<string, unknown>()
  const rows = projection.kind === 'tally' ? counted(projection) : evolved(projection)
  const types: object = projection.kind === 'tally' ? projection.count : projection.evolve

  const fold = async (record: LogRecord): Promise<void> => {
    const writer = codec.writerOf(record.value!) ?? (await codec.learn(record.value!))
    if (writer.event.type in types) rows.take(codec.event(record, topic, partition), isWanted)
  }

  return {
    rows: rows.byKey,
    leftOut,
    unfoldable,
    narrow(narrower) {
      isWanted = narrower
      // Of a tally, subjects are no keys.
      const kept = projection.kind === 'tally' ? [rows.byKey] : [rows.byKey, leftOut, unfoldable]
      for (const some of kept) for (const key of some.keys()) if (!narrower(key)) some.delete(key)
    },
    async take(records, parkedFrom) {
      for (const record of records) {
        if (record.value === null) continue
        const subject = subjectOf(record)
        if (!isOf(subject)) continue
        if (projection.kind === 'read model' && isWanted?.(subject) === false) continue
        const waiting = projection.kind === 'tally' ? String(record.offset) : subject
        if (unfoldable.has(waiting) || leftOut.has(waiting)) continue
        const parked = parkedFrom.get(waiting)
        if (parked !== undefined && record.offset >= parked) {
          leftOut.set(waiting, parked)
          continue
        }
        try {
          await fold(record)
        } catch (error) {
          // A registry that is away says nothing about the record.
          if (isRetriable(error)) throw error
          unfoldable.set(waiting, error)
        }
      }
    },
  }
}

/** As the projector makes the key of a tally's row out of its columns. */
export const keyOf = (keyColumns: readonly string[], row: Row): string =>
  keyColumns.length === 1 ? String(row[keyColumns[0]!]) : JSON.stringify(keyColumns.map((name) => row[name]))

interface Rows {
  readonly byKey: Map<string, Row | null>
  take(event: DomainEvent<Record<string, unknown>>, isWanted: ((key: string) => boolean) | undefined): void
}

const evolved = (model: ReadModelDefinition): Rows => {
  const byKey = new Map<string, Row | null>()
  return {
    byKey,
    take(event) {
      const row = byKey.get(event.subject)
      const known: KnownRow | undefined = row === undefined ? undefined : { stored: false, row }
      byKey.set(event.subject, evolveRow(model, known, event).row)
    },
  }
}

const counted = (tally: TallyDefinition): Rows => {
  const byKey = new Map<string, Row>()
  const keyColumns = Object.keys(tally.columns).filter((name) => !(name in tally.measures))
  const one = new Map<string, Row>()
  return {
    byKey: byKey as Map<string, Row | null>,
    take(event, isWanted) {
      if (isWanted !== undefined) {
        // Counted by itself first: which row it adds to is not known before.
        one.clear()
        countEvent(tally, keyColumns, one, event)
        const [key] = one.keys()
        if (key === undefined || !isWanted(key)) return
      }
      countEvent(tally, keyColumns, byKey, event)
    },
  }
}
