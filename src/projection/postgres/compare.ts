import type { Pool, PoolClient } from 'pg'
import { type Position, readPositions } from '../../consumer/positions.ts'
import { isPersonal } from '../../define/columns.ts'
import { EmbudoError } from '../../define/error.ts'
import { snapshot } from '../../postgres/transaction.ts'
import type { PostgresProjection } from '../definition.ts'
import { gapsBetween, type Side } from '../gap.ts'
import type { Comparison, Difference } from '../generation-kind.ts'
import { type AdvanceParts, advance, type Overlaid, overlay, touch, touchedTable } from './advance.ts'
import { differenceSql } from './differences.ts'
import { foldTypes } from './load.ts'
import { quote, type Table, type TableColumn, tableOf } from './table.ts'

/** A comparison that says what the differences are made of, too. */
export interface ExplainedComparison extends Comparison {
  /** In how many rows that both have a column differs, by its name. */
  readonly columns: Readonly<Record<string, number>>
  /** Rows that only one has. */
  readonly onlyLive: number
  readonly onlyOther: number
  /** Columns that only one has, or that are of another type there: they are not compared. */
  readonly otherColumns: readonly string[]
  /** Differences of subjects that wait behind a dead letter in one of the two only. */
  readonly deadLettered: number
  /** Rows that could not be brought to equal positions, since the one that is behind is of another version. */
  readonly notCompared: number
  /** The positions compared at: next offsets by `<topic>:<partition>`. */
  readonly positions: Readonly<Record<string, number>>
}

interface ExplainedDifference extends Difference {
  /** Which one has not applied all of the subject's events, since one of them is parked. */
  readonly deadLettered?: Side
}

export interface CompareParts extends AdvanceParts {
  readonly pool: Pool
}

const mostExamples = 20

/**
 * Compares the rows of two generations at equal positions while both are fed: rows and positions are read as they
 * were at one moment, and where one is behind in a partition, the events of the gap are applied to a copy of the
 * rows they touch. Postgres compares, by value. Throws `not_comparable` where the keys differ.
 */
export const compareGenerations = (
  projection: PostgresProjection,
  parts: CompareParts,
  live: number,
  other: number,
  signal: AbortSignal,
): Promise<ExplainedComparison> =>
  snapshot(parts.pool, async (client) => {
    const versions = await versionsOf(client, projection.name, [live, other])
    const positions = {
      live: await readPositions(client, projection.name, live),
      other: await readPositions(client, projection.name, other),
    }
    const sides = {
      live: await sideOf(client, projection, 'live', live, versions.get(live)),
      other: await sideOf(client, projection, 'other', other, versions.get(other)),
    }
    const shape = shapeOf(projection, sides.live.table, sides.other.table)
    await client.query(`create temp table ${skippedPartitions} (id integer) on commit drop`)
    for (const gap of gapsBetween(positions.live, positions.other)) {
      signal.throwIfAborted()
      const behind = sides[gap.behind]
      if (!behind.isForeign) await advance(client, projection, parts, behind, gap, signal)
      else if (projection.kind === 'read model') await touch(client, projection, parts, gap, signal)
      else await client.query(`insert into ${skippedPartitions} values ($1)`, [gap.partition])
    }
    signal.throwIfAborted()
    const joined = joinOf(projection, sides, shape)
    const counts = await count(client, joined, shape, projection.name, sides)
    const examples =
      counts.differences === 0 ? [] : await examplesOf(client, joined, shape, projection, sides)
    return {
      ...counts,
      examples,
      otherColumns: shape.otherColumns,
      positions: equalPositions([...positions.live, ...positions.other]),
    }
  })

const versionsOf = async (
  client: PoolClient,
  projection: string,
  generations: readonly number[],
): Promise<ReadonlyMap<number, number>> => {
  const { rows } = await client.query<{ generation: number; version: number }>(
    'select generation, version from embudo.generations where projection = $1 and generation = any($2)',
    [projection, generations],
  )
  return new Map(rows.map(({ generation, version }) => [generation, version]))
}

/** Its table as it is: one of another version has columns that the definition does not know. */
const sideOf = async (
  client: PoolClient,
  projection: PostgresProjection,
  side: Side,
  generation: number,
  version: number | undefined,
): Promise<Overlaid> => {
  const { name } = tableOf(projection, generation)
  const { rows } = await client.query<{ name: string; type: string; is_key: boolean }>(
    `select a.attname as name, format_type(a.atttypid, null) as type,
       exists (select from pg_index i where i.indrelid = a.attrelid and i.indisprimary and a.attnum = any(i.indkey)) as is_key
     from pg_attribute a where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [name],
  )
  if (rows.length === 0) {
    throw new EmbudoError('not_comparable', `generation ${generation} of ${projection.name} has no table yet`)
  }
  const columnOf = (row: (typeof rows)[number]): TableColumn => ({
    name: row.name,
    quoted: quote(row.name),
    type: row.type === 'timestamp with time zone' ? 'timestamptz' : row.type,
  })
  const keys = rows.filter((row) => row.is_key).map(columnOf)
  const others = rows.filter((row) => !row.is_key).map(columnOf)
  const table = { name, columns: [...keys, ...others], keys, others }
  return await overlay(client, projection, side, generation, table, version !== projection.version)
}

interface Shape {
  readonly keys: readonly TableColumn[]
  /** Besides the keys, what both have, and whether it differs: a condition on `l` and `o`. */
  readonly compared: readonly (TableColumn & { readonly differs: string })[]
  readonly otherColumns: readonly string[]
}

const shapeOf = (projection: PostgresProjection, live: Table, other: Table): Shape => {
  const text = ({ name, type }: TableColumn) => `${name} ${type}`
  if (live.keys.map(text).toSorted().join() !== other.keys.map(text).toSorted().join()) {
    throw new EmbudoError(
      'not_comparable',
      `the two generations of ${projection.name} have other keys: ${live.keys.map(text).join(', ')} and ${other.keys.map(text).join(', ')}`,
    )
  }
  const ofOther = new Set(other.others.map(text))
  const measures = projection.kind === 'tally' ? projection.measures : undefined
  const compared = live.others
    .filter((column) => ofOther.has(text(column)))
    .map((column) => ({ ...column, differs: differenceSql(column, measures?.[column.name], 'l', 'o') }))
  const names = new Set(compared.map(({ name }) => name))
  const rest = [...live.others, ...other.others].map(({ name }) => name).filter((name) => !names.has(name))
  return { keys: live.keys, compared, otherColumns: [...new Set(rest)].toSorted() }
}

/** Of tallies: those in which one of another version is behind. */
const skippedPartitions = 'pg_temp.embudo_skipped_partitions'

/** Both sides' rows, key by key, as the rest of a query; and whether a key's rows differ. */
interface Joined {
  readonly from: string
  readonly differs: string
  readonly skipped: string
}

const joinOf = (
  projection: PostgresProjection,
  { live, other }: Readonly<Record<Side, Overlaid>>,
  { keys, compared }: Shape,
): Joined => {
  const first = keys[0]!.quoted
  const on = keys.map(({ quoted }) => `l.${quoted} = o.${quoted}`).join(' and ')
  const differing = compared.map(({ differs }) => differs)
  const foreign = [live, other].filter(({ isForeign }) => isForeign)
  const skips = foreign.map(({ side }) =>
    projection.kind === 'read model'
      ? `exists (select from ${touchedTable(side)} as u where u.key = coalesce(l.${first}, o.${first}))`
      : `coalesce(l."_partition", o."_partition") in (select id from ${skippedPartitions})`,
  )
  return {
    from: `${live.name} as l full join ${other.name} as o on ${on}`,
    differs: `(${[`l.${first} is null`, `o.${first} is null`, ...differing].join(' or ')})`,
    skipped: skips.length === 0 ? 'false' : `(${skips.join(' or ')})`,
  }
}

const count = async (
  client: PoolClient,
  { from, differs, skipped }: Joined,
  { keys, compared }: Shape,
  reader: string,
  { live, other }: Readonly<Record<Side, Overlaid>>,
): Promise<Omit<ExplainedComparison, 'examples' | 'otherColumns' | 'positions'>> => {
  const first = keys[0]!.quoted
  const parked = `coalesce(l.${first}, o.${first})::text in (select subject from one_sided)`
  const perColumn = compared.map(
    (column, index) =>
      `count(*) filter (where l.${first} is not null and o.${first} is not null and ${column.differs}) as c${index}`,
  )
  const { rows } = await client.query<Record<string, string>>(
    `with one_sided as (${oneSided})
     select count(*) as rows, ${[
       `count(*) filter (where ${differs}) as differences`,
       `count(*) filter (where o.${first} is null) as only_live`,
       `count(*) filter (where l.${first} is null) as only_other`,
       `count(*) filter (where ${differs} and ${parked}) as dead_lettered`,
       ...perColumn,
     ].join(', ')},
       (select count(*) from ${from} where ${skipped}) as not_compared
     from ${from} where not ${skipped}`,
    [reader, live.generation, other.generation],
  )
  const found = rows[0]!
  const numbered = compared.map(({ name }, index) => [name, Number(found[`c${index}`])] as const)
  return {
    rows: Number(found.rows),
    differences: Number(found.differences),
    columns: Object.fromEntries(numbered.filter(([, differing]) => differing > 0)),
    onlyLive: Number(found.only_live),
    onlyOther: Number(found.only_other),
    deadLettered: Number(found.dead_lettered),
    notCompared: Number(found.not_compared),
  }
}

/** Subjects that wait behind a dead letter in one of two generations, and in which. */
const oneSided = `select subject, min(generation) as generation from embudo.dead_letters
  where reader = $1 and generation in ($2, $3) and state in ('open', 'deciding', 'retrying')
  group by subject having count(distinct generation) = 1`

const examplesOf = async (
  client: PoolClient,
  { from, differs, skipped }: Joined,
  { keys, compared }: Shape,
  projection: PostgresProjection,
  { live, other }: Readonly<Record<Side, Overlaid>>,
): Promise<ExplainedDifference[]> => {
  const first = keys[0]!.quoted
  const selected = [
    ...keys.map(({ quoted }, index) => `coalesce(l.${quoted}, o.${quoted}) as k${index}`),
    ...compared.flatMap((column, index) => [
      `l.${column.quoted} as l${index}`,
      `o.${column.quoted} as o${index}`,
      `${column.differs} as d${index}`,
    ]),
  ]
  const { rows } = await client.query<Record<string, unknown>>({
    text: `with one_sided as (${oneSided})
      select ${selected.join(', ')}, l.${first} is not null as in_live, o.${first} is not null as in_other,
        (select generation from one_sided where subject = coalesce(l.${first}, o.${first})::text) as dead_lettered
      from ${from} where ${differs} and not ${skipped} limit ${mostExamples}`,
    values: [projection.name, live.generation, other.generation],
    types: foldTypes,
  })
  return rows.map((row) => {
    const inBoth = row.in_live === true && row.in_other === true
    const told = compared.flatMap(({ name }, index) =>
      inBoth && row[`d${index}`] !== true ? [] : [{ name, index }],
    )
    const valuesOf = (side: 'l' | 'o') =>
      Object.fromEntries(
        told.map(({ name, index }) => [name, toldValue(projection, name, row[side + index])]),
      )
    return {
      key: keys.map((_, index) => String(row[`k${index}`])).join(','),
      live: row.in_live === true ? valuesOf('l') : null,
      other: row.in_other === true ? valuesOf('o') : null,
      columns: inBoth ? told.map(({ name }) => name) : [],
      ...(row.dead_lettered === null
        ? {}
        : { deadLettered: row.dead_lettered === live.generation ? ('live' as const) : ('other' as const) }),
    }
  })
}

const mostTextLength = 500

/** Examples are for people to look at, and are kept: nothing personal, and nothing long. */
const toldValue = (projection: PostgresProjection, name: string, value: unknown): unknown => {
  const column = projection.columns[name]
  if (value !== null && (column === undefined || isPersonal(column))) return '(not shown)'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > mostTextLength ? `${text.slice(0, mostTextLength).toWellFormed()}...` : value
}

const equalPositions = (positions: readonly Position[]): Record<string, number> => {
  const furthest: Record<string, number> = {}
  for (const { topic, partition, nextOffset } of positions) {
    const place = `${topic}:${partition}`
    furthest[place] = Math.max(furthest[place] ?? 0, nextOffset)
  }
  return furthest
}
