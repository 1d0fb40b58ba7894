import type { Pool, PoolClient } from 'pg'
import {
  type Advance,
  lockPosition,
  type PartitionOf,
  type Position,
  raiseEpoch,
  type Sql,
  seizePosition,
} from '../../src/consumer/positions.ts'
import type { NewLetter } from '../../src/dead-letter/letters.ts'
import type { ReadModelDefinition } from '../../src/define/read-model.ts'
import { sum, type TallyDefinition, tally } from '../../src/define/tally.ts'
import { transaction } from '../../src/postgres/transaction.ts'
import { loadRows } from '../../src/projection/postgres/load.ts'
import { parkedSubjects } from '../../src/projection/postgres/parked.ts'
import { showGeneration } from '../../src/projection/postgres/switch.ts'
import { type Table, tableOf } from '../../src/projection/postgres/table.ts'
import { writeOne } from '../../src/projection/postgres/write.ts'
import { switchGeneration } from '../../src/projection/switch.ts'
import { leads } from '../integration/projection/models.ts'
import type { Writer } from './every-order.ts'

/**
 * Everyone who writes under a position, in the steps that it takes: what the interleavings are made of. What touches a
 * position is src's own; what a writer puts under it is as simple here as it can be told right from wrong.
 */

/** What is folded: a record's offset is its place. */
export type History = readonly { readonly key: string }[]

/** Each row tells which offsets were applied to it, in which order: what is lost, doubled or swapped shows. */
export const trails: ReadModelDefinition = {
  kind: 'read model',
  name: 'trails',
  version: 1,
  topic: leads,
  columns: { key: 'text primary key', trail: 'text not null' },
  initial: (key) => ({ key, trail: '' }),
  evolve: {},
}

export const totals: TallyDefinition = tally({
  name: 'totals',
  version: 1,
  topic: leads,
  columns: { key: 'text primary key', total: 'bigint not null default 0' },
  measures: { total: sum },
  count: {},
} as never)

export const placeOf = (reader: string, generation = 1): PartitionOf => ({
  reader,
  generation,
  topic: 'leads',
  partition: 0,
})

interface Row {
  readonly key: string
  readonly trail: string
}

const folded = (row: Row | undefined, key: string, offset: number): Row => ({
  key,
  trail: `${row?.trail ?? ''} ${offset}`,
})

/** The naive fold of the first `end` records, but for the ones that are parked. */
export const foldTrails = (
  history: History,
  end = history.length,
  parked: readonly number[] = [],
): Record<string, string> => {
  const rows: Record<string, string> = {}
  for (const [offset, { key }] of history.slice(0, end).entries())
    if (!parked.includes(offset)) rows[key] = `${rows[key] ?? ''} ${offset}`
  return rows
}

const letter = (offset: number, subject: string): NewLetter => ({
  ...{
    offset,
    subject,
    type: undefined,
    key: Buffer.from(subject),
    value: null,
    headers: {},
    appendedAtMs: 0,
  },
  ...{ state: 'open', cause: 'behind', code: undefined, error: undefined },
})

const behind = (position: Position, applied: number, deadLettered = 0): Advance => ({
  nextOffset: position.nextOffset + applied + deadLettered,
  mark: '',
  counts: { applied, deadLettered, ignored: 0, duplicates: 0, markers: 0 },
})

export interface Projecting {
  readonly history: History
  readonly generation?: number
  readonly batch: number
  /** It is at work already, at this position, and has seen the rows. */
  readonly running?: {
    readonly nextOffset: number
    readonly rows: Readonly<Record<string, string>>
    readonly parked?: readonly string[]
  }
  /** How often it takes the partition over once more, after it was told that it is another's. */
  readonly again: number
}

/** The projector of a read model in one partition, as src/projection/postgres/projector.ts does it. */
export const projector =
  ({ history, generation = 1, batch, running, again }: Projecting): Writer =>
  async (pool) => {
    const of = placeOf(trails.name, generation)
    const table = tableOf(trails, generation)
    const run = async (
      start: Position,
      cache: Map<string, Row | undefined>,
      parked: readonly string[],
    ): Promise<void> => {
      let position = start
      while (position.nextOffset < history.length) {
        const read = [...history.entries()].slice(position.nextOffset, position.nextOffset + batch)
        const records = read.filter(([, { key }]) => !parked.includes(key))
        const letters = read
          .filter(([, { key }]) => parked.includes(key))
          .map(([offset, { key }]) => letter(offset, key))
        const missing = [...new Set(records.map(([, { key }]) => key))].filter((key) => !cache.has(key))
        if (missing.length > 0) {
          const loaded = await loadRows(pool, table, missing)
          for (const key of missing) cache.set(key, loaded.get(key) as Row | undefined)
        }
        const before = new Map(cache)
        for (const [offset, { key }] of records) cache.set(key, folded(cache.get(key), key, offset))
        const keys = [...new Set(records.map(([, { key }]) => key))].toSorted()
        const isStored = (key: string) => before.get(key) !== undefined
        const rowsOf = (those: readonly string[]) => those.map((key) => ({ ...cache.get(key)! }))
        const changes = {
          inserted: rowsOf(keys.filter((key) => !isStored(key))),
          updated: rowsOf(keys.filter(isStored)),
          deleted: [],
        }
        const to = behind(position, records.length, letters.length)
        position = await writeOne(pool, table, { position, to, changes, letters })
      }
    }
    const rows = Object.entries(running?.rows ?? {}).map(([key, trail]) => [key, { key, trail }] as const)
    let start: Position | undefined =
      running === undefined ? undefined : { ...of, nextOffset: running.nextOffset, epoch: 1, mark: '' }
    for (let left = again; ; left--) {
      try {
        if (start !== undefined) return await run(start, new Map(rows), running?.parked ?? [])
        const taken = await raiseEpoch(pool, of, 0)
        return await run(taken, new Map(), [...(await parkedSubjects(pool, of))])
      } catch (error) {
        if ((error as { code?: string }).code !== 'position_moved') throw error
        if (left === 0) return
        start = undefined
      }
    }
  }

/** The projector of a tally in one partition: it remembers nothing, and adds. */
export const counter =
  (history: History, batch: number, again: number): Writer =>
  async (pool) => {
    const of = placeOf(totals.name)
    const table = tableOf(totals, 1)
    for (let left = again; ; left--) {
      try {
        let position = await raiseEpoch(pool, of, 0)
        while (position.nextOffset < history.length) {
          const records = history.slice(position.nextOffset, position.nextOffset + batch)
          const counts = Object.entries(Object.groupBy(records, ({ key }) => key)).map(([key, some]) => ({
            key,
            _partition: 0,
            total: some?.length ?? 0,
          }))
          const to = behind(position, records.length)
          const changes = { counted: counts }
          position = await writeOne(pool, table, { position, to, changes, letters: [] })
        }
        return
      } catch (error) {
        if ((error as { code?: string }).code !== 'position_moved') throw error
        if (left === 0) return
      }
    }
  }

const putRow = async (client: Sql, { name }: Table, { key, trail }: Row): Promise<void> => {
  await client.query(
    `insert into ${name} (key, trail) values ($1, $2) on conflict (key) do update set trail = excluded.trail`,
    [key, trail],
  )
}

/** Folds one subject again from the log, as far as the position has come, and puts that in place of its row. */
export const repair =
  (history: History, key: string): Writer =>
  (pool: Pool) =>
    transaction(pool, async (client) => {
      const of = placeOf(trails.name)
      const { nextOffset } = (await lockPosition(client, of))!
      const trail = foldTrails(history, nextOffset)[key]
      await seizePosition(client, of)
      if (trail !== undefined) await putRow(client, tableOf(trails, 1), { key, trail })
    })

/** Applies what is parked of a subject, in order, on top of its row. */
export const release =
  (key: string): Writer =>
  (pool: Pool) =>
    transaction(pool, async (client) => {
      const of = placeOf(trails.name)
      const table = tableOf(trails, 1)
      await seizePosition(client, of)
      const { rows: letters } = await client.query<{ offset: string }>(
        `select "offset" from embudo.dead_letters where reader = $1 and subject = $2 and state = 'open' order by "offset"`,
        [of.reader, key],
      )
      if (letters.length === 0) return
      const { rows } = await client.query<Row>(`select key, trail from ${table.name} where key = $1`, [key])
      let row = rows[0]
      for (const { offset } of letters) row = folded(row, key, Number(offset))
      await client.query(
        `update embudo.positions set applied = applied + $2, dead_lettered = dead_lettered - $2
         where reader = $1`,
        [of.reader, letters.length],
      )
      await putRow(client, table, row!)
      await client.query(
        `update embudo.dead_letters set state = 'applied', settled_at = now()
         where reader = $1 and "offset" = any($2)`,
        [of.reader, letters.map(({ offset }) => offset)],
      )
    })

export const takeOver: Writer = async (pool) => {
  await raiseEpoch(pool, placeOf(trails.name), 0)
}

/** Until it has happened, as the manager does. */
export const makeLive =
  (from: number, to: number): Writer =>
  async (pool) => {
    const show = (client: PoolClient, generation: number) =>
      showGeneration(client, trails, tableOf(trails, generation))
    await switchGeneration(pool, { projection: trails.name, from, to, kind: { makeLive: show } })
  }
