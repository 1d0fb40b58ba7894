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
import { parkedSubjects } from './parked.ts'
import { type Read, readEvents } from './read-events.ts'
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
  const of = { ...gap, reader: projection.name, generation: behind.generation }
  const apply =
    projection.kind === 'tally'
      ? countingInto(client, projection, behind)
      : foldingInto(client, projection, behind, await parkedSubjects(client, of))
  const source = { ...parts, types: projection.kind === 'tally' ? projection.count : projection.evolve }
  for await (const records of recordsWithin(parts.log, gap, projection.topic, signal))
    await apply.take(await readEvents([{ records }], of, source))
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

interface Applying {
  take(reads: readonly Read[]): Promise<void>
  flush(): Promise<void>
}

/** `waiting`: whose events wait behind a dead letter. What cannot be applied adds to them. */
const foldingInto = (
  client: PoolClient,
  model: ReadModelDefinition,
  behind: Overlaid,
  waiting: Set<string>,
): Applying => {
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
    async take(reads) {
      const subjects = new Set(reads.flatMap(({ event }) => event?.subject ?? []))
      const missing = [...subjects].filter((each) => !rows.has(each) && !waiting.has(each))
      const loaded = await loadRows(client, { ...table, name: `${behind.name} as rows` }, missing)
      for (const subject of missing) {
        const row = loaded.get(subject)
        rows.set(subject, { stored: row !== undefined, row: row ?? null })
      }
      for (const read of reads) {
        const subject = subjectOf(read.record)
        if (waiting.has(subject) || isDiscarded(read)) continue
        const canBe = isApplied(read, (event) =>
          rows.set(event.subject, evolveRow(model, rows.get(event.subject), event)),
        )
        if (!canBe) waiting.add(subject)
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
    async take(reads) {
      for (const read of reads) isApplied(read, (event) => countEvent(tally, keyColumns, rows, event))
      if (rows.size >= heldRows) await flush()
    },
  }
}

const isDiscarded = (read: Read): boolean => read.event === undefined && read.error === undefined

/** False where it can never be. */
const isApplied = (
  { event }: Read,
  apply: (event: DomainEvent<Record<string, unknown>>) => unknown,
): boolean => {
  if (event === undefined) return false
  try {
    apply(event)
    return true
  } catch (error) {
    if (!(error instanceof EmbudoError) || isRetriable(error)) throw error
    return false
  }
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
