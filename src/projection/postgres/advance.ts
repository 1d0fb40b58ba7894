import type { PoolClient } from 'pg'
import type { Corrections } from '../../dead-letter/correction.ts'
import { subjectOf } from '../../dead-letter/letters.ts'
import { EmbudoError, isRetriable } from '../../define/error.ts'
import type { DomainEvent } from '../../define/event.ts'
import type { ReadModelDefinition, Row } from '../../define/read-model.ts'
import type { TallyDefinition } from '../../define/tally.ts'
import type { Codec } from '../../log/codec.ts'
import type { Log } from '../../log/port.ts'
import type { PostgresProjection } from '../definition.ts'
import { type Gap, recordsWithin, type Side } from '../gap.ts'
import { arrayLiteral } from './array-literal.ts'
import { countEvent, evolveRow, type KnownRow } from './fold.ts'
import { loadRows } from './load.ts'
import { readEvents } from './read-events.ts'
import type { Table, TableColumn } from './table.ts'

export interface AdvanceParts {
  readonly log: Log
  readonly codec: Codec
  readonly corrections: Corrections
}

/** A generation whose rows are looked at, and what lies over them: temporary tables of the transaction. */
export interface Overlaid {
  readonly side: Side
  readonly generation: number
  readonly table: Table
  /** Of a version that this code cannot fold. */
  readonly isForeign: boolean
  /** What its rows are with the gaps applied, as a table of a query. */
  readonly name: string
}

/** This many rows are held in memory before they go into a temporary table. */
const heldRows = 5_000

/** Makes the temporary tables that `advance` and `touch` fill; they go with the transaction. */
export const overlay = async (
  client: PoolClient,
  projection: PostgresProjection,
  side: Side,
  generation: number,
  table: Table,
  isForeign: boolean,
): Promise<Overlaid> => {
  const of = { side, generation, table, isForeign }
  if (projection.kind === 'read model')
    await client.query(
      `create temp table ${touchedTable(side)} (key text collate "C" primary key) on commit drop`,
    )
  if (isForeign) return { ...of, name: table.name }
  const columns = table.columns.map(({ quoted }) => quoted).join(', ')
  const gap = gapTable(side)
  await client.query(
    `create temp table ${gap} on commit drop as select ${columns} from ${table.name} with no data`,
  )
  if (projection.kind === 'tally') {
    const keys = table.keys.map(({ quoted }) => quoted).join(', ')
    const measures = table.others.map(
      ({ name, quoted, type }) => `${projection.measures[name]!}(${quoted})::${type} as ${quoted}`,
    )
    const both = `select ${columns} from ${table.name} union all select ${columns} from ${gap}`
    const name = `(select ${[keys, ...measures].join(', ')} from (${both}) as parts group by ${keys})`
    return { ...of, name }
  }
  const key = table.keys[0]!.quoted
  await client.query(`create index on ${gap} (${key})`)
  const name = `(select ${columns} from ${table.name} as t
      where not exists (select from ${touchedTable(side)} as u where u.key = t.${key})
    union all select ${columns} from ${gap})`
  return { ...of, name }
}

const gapTable = (side: Side): string => `pg_temp.embudo_gap_${side}`
export const touchedTable = (side: Side): string => `pg_temp.embudo_touched_${side}`

/**
 * Applies a gap to what lies over a generation's rows, as its projector will: an event that cannot be applied is left
 * out, of a read model with the later ones of its subject, and so are those of subjects that wait behind a dead letter.
 */
export const advance = async (
  client: PoolClient,
  projection: PostgresProjection,
  parts: AdvanceParts,
  behind: Overlaid,
  gap: Gap,
  signal: AbortSignal,
): Promise<void> => {
  const isTally = projection.kind === 'tally'
  const waiting = isTally
    ? nobodyWaits
    : await parkedSubjects(client, projection.name, behind.generation, gap)
  const apply = isTally ? countingInto(client, projection, behind) : foldingInto(client, projection, behind)
  const source = { ...parts, types: isTally ? projection.count : projection.evolve }
  const of = { ...gap, reader: projection.name }
  for await (const records of recordsWithin(parts.log, gap, projection.topic, signal)) {
    const events: DomainEvent<Record<string, unknown>>[] = []
    for (const read of await readEvents([{ records }], of, source)) {
      if (await waiting.has(subjectOf(read.record))) continue
      if (read.event !== undefined) events.push(read.event)
      else if (read.error !== undefined) waiting.add(subjectOf(read.record))
    }
    await apply.take(events, waiting)
  }
  await apply.flush()
}

/** Marks every subject with an event in the gap: what the other version makes of those, nobody here can tell. */
export const touch = async (
  client: PoolClient,
  projection: PostgresProjection,
  { log }: AdvanceParts,
  gap: Gap,
  signal: AbortSignal,
): Promise<void> => {
  for await (const records of recordsWithin(log, gap, projection.topic, signal)) {
    await client.query(
      `insert into ${touchedTable(gap.behind)} select distinct unnest($1::text[]) on conflict do nothing`,
      [records.map(subjectOf)],
    )
  }
}

interface Waiting {
  has(subject: string): boolean | Promise<boolean>
  add(subject: string): void
}

/** Records of a tally wait each for itself. */
const nobodyWaits: Waiting = { has: () => false, add: () => {} }

/** Whose events wait behind a dead letter. Those that waited before are asked for only where there are any. */
const parkedSubjects = async (
  client: PoolClient,
  reader: string,
  generation: number,
  { topic, partition }: Gap,
): Promise<Waiting> => {
  const added = new Set<string>()
  const open = `select from embudo.dead_letters where reader = $1 and generation = $2 and topic = $3 and partition = $4
    and state in ('open', 'deciding', 'retrying')`
  const place = [reader, generation, topic, partition]
  const { rows } = await client.query(`${open} limit 1`, place)
  const add = (subject: string): void => void added.add(subject)
  if (rows.length === 0) return { has: (subject) => added.has(subject), add }
  return {
    add,
    has: async (subject) =>
      added.has(subject) ||
      (await client.query(`${open} and subject = $5 limit 1`, [...place, subject])).rows.length > 0,
  }
}

interface Applying {
  take(events: readonly DomainEvent<Record<string, unknown>>[], waiting: Waiting): Promise<void>
  flush(): Promise<void>
}

const foldingInto = (client: PoolClient, model: ReadModelDefinition, behind: Overlaid): Applying => {
  const { table, side } = behind
  const key = table.keys[0]!
  let rows = new Map<string, KnownRow>()
  const flush = async (): Promise<void> => {
    const keys = arrayLiteral([...rows.keys()], key.type)
    await client.query(`insert into ${touchedTable(side)} select unnest($1::text[]) on conflict do nothing`, [
      keys,
    ])
    await client.query(`delete from ${gapTable(side)} where ${key.quoted} = any($1::${key.type}[])`, [keys])
    await insertRows(
      client,
      gapTable(side),
      table.columns,
      [...rows.values()].flatMap(({ row }) => (row === null ? [] : [row])),
    )
    rows = new Map()
  }
  return {
    flush,
    async take(events, waiting) {
      const missing = [...new Set(events.map(({ subject }) => subject))].filter((each) => !rows.has(each))
      const loaded = await loadRows(client, { ...table, name: `${behind.name} as rows` }, missing)
      for (const subject of missing) {
        const row = loaded.get(subject)
        rows.set(subject, { stored: row !== undefined, row: row ?? null })
      }
      for (const event of events) {
        if (await waiting.has(event.subject)) continue
        try {
          rows.set(event.subject, evolveRow(model, rows.get(event.subject), event))
        } catch (error) {
          parked(error, event.subject, waiting)
        }
      }
      if (rows.size >= heldRows) await flush()
    },
  }
}

const countingInto = (client: PoolClient, tally: TallyDefinition, { table, side }: Overlaid): Applying => {
  const keyColumns = table.keys.map((key) => key.name).filter((name) => name !== '_partition')
  let rows = new Map<string, Row>()
  const flush = async (): Promise<void> => {
    await insertRows(client, gapTable(side), table.columns, [...rows.values()])
    rows = new Map()
  }
  return {
    flush,
    async take(events, waiting) {
      for (const event of events) {
        if (await waiting.has(event.subject)) continue
        try {
          countEvent(tally, keyColumns, rows, event)
        } catch (error) {
          parked(error, event.subject, waiting)
        }
      }
      if (rows.size >= heldRows) await flush()
    },
  }
}

const parked = (error: unknown, subject: string, waiting: Waiting): void => {
  if (!(error instanceof EmbudoError) || isRetriable(error)) throw error
  waiting.add(subject)
}

const insertRows = async (
  client: PoolClient,
  name: string,
  columns: readonly TableColumn[],
  rows: readonly Row[],
): Promise<void> => {
  if (rows.length === 0) return
  const quoted = columns.map((column) => column.quoted).join(', ')
  const arrays = columns.map(({ type }, index) => `$${index + 1}::${type}[]`).join(', ')
  await client.query(
    `insert into ${name} (${quoted}) select ${quoted} from unnest(${arrays}) as r (${quoted})`,
    columns.map((column) =>
      arrayLiteral(
        rows.map((row) => row[column.name]),
        column.type,
      ),
    ),
  )
}
