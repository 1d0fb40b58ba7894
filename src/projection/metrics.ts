import type { Pool } from 'pg'
import type { Metrics } from '../telemetry/metrics.ts'
import type { CompletenessWatch } from './completeness-watch.ts'
import type { ReconciledPartition } from './reconcile.ts'

interface MovingProjection {
  readonly name: string
  readonly positions: readonly {
    readonly topic: string
    readonly partition: number
    readonly lag: number
    readonly state: string
    readonly oldestUnappliedSeconds: number | null
  }[]
  readonly rebuild: { readonly state: string } | null
}

/** How projections stand, asked for when Prometheus comes. */
export const measureProjections = (
  { levels }: Pick<Metrics, 'levels'>,
  list: () => Promise<readonly MovingProjection[]>,
  pool: Pick<Pool, 'query'>,
): void => {
  const look = shared(list)
  const ofPartitions = async (value: (position: MovingProjection['positions'][number]) => number) =>
    (await look()).flatMap(({ name, positions }) =>
      positions.map(
        (position) =>
          [
            { projection: name, topic: position.topic, partition: position.partition },
            value(position),
          ] as const,
      ),
    )
  levels(
    'embudo_projection_lag_records',
    'Records of a partition that a projection has not applied yet.',
    ['projection', 'topic', 'partition'],
    () => ofPartitions(({ lag }) => lag),
  )
  levels(
    'embudo_projection_oldest_unapplied_seconds',
    'How long the first record that a projection has not applied has been in the log; 0 where none waits.',
    ['projection', 'topic', 'partition'],
    () => ofPartitions(({ oldestUnappliedSeconds }) => oldestUnappliedSeconds ?? 0),
  )
  levels(
    'embudo_projection_partitions',
    'Partitions of a projection by state.',
    ['projection', 'state'],
    async () =>
      (await look()).flatMap(({ name, positions }) =>
        [...countStates(positions)].map(([state, count]) => [{ projection: name, state }, count] as const),
      ),
  )
  levels(
    'embudo_projection_rebuild',
    'One for each rebuild under way, by its state.',
    ['projection', 'state'],
    async () =>
      (await look()).flatMap(({ name, rebuild }) =>
        rebuild === null ? [] : [[{ projection: name, state: rebuild.state }, 1] as const],
      ),
  )
  levels(
    'embudo_dead_letters',
    'Records that a live projection could not apply, and those that wait behind them, by state.',
    ['projection', 'state'],
    async () => {
      const { rows } = await pool.query<{ projection: string; state: string; count: string }>(
        `select d.reader as projection, d.state, count(*) as count from embudo.dead_letters d
         left join embudo.generations g on g.projection = d.reader and g.generation = d.generation
         where coalesce(g.state, 'live') = 'live' group by d.reader, d.state`,
      )
      return rows.map(({ projection, state, count }) => [{ projection, state }, Number(count)] as const)
    },
  )
  levels(
    'embudo_projection_rebuild_differences',
    'Rows in which a rebuilt generation of the same version differs from the live one, as last verified.',
    ['projection'],
    async () => {
      const { rows } = await pool.query<{ projection: string; differences: string }>(
        `select projection, verified ->> 'differences' as differences from embudo.generations
         where state = 'building' and jsonb_typeof(verified -> 'differences') = 'number'
           and verified #> '{live,version}' is not distinct from verified #> '{other,version}'`,
      )
      return rows.map(({ projection, differences }) => [{ projection }, Number(differences)] as const)
    },
  )
}

/** What the watch over completeness found last; nothing where another process has it. */
export const measureCompleteness = (
  { levels }: Pick<Metrics, 'levels'>,
  watch: Pick<CompletenessWatch, 'last'>,
): void => {
  levels(
    'embudo_reconciliation_holes',
    'Records of a partition that do not add up, over all generations of a projection: 0 if all is well.',
    ['projection', 'topic', 'partition'],
    async () => {
      const { items = [], alarms = [] } = watch.last() ?? {}
      const places = items.map(({ projection, topic, partition }) => ({ projection, topic, partition }))
      return places.map((place) => [place, amiss(alarms, place)] as const)
    },
  )
  levels(
    'embudo_reconciliation_records',
    'Records of a topic by what became of them in the live generation of a projection.',
    ['projection', 'topic', 'outcome'],
    async () => {
      const live = (watch.last()?.items ?? []).filter(({ state }) => state === 'live')
      const byTopic = Map.groupBy(live, ({ projection, topic }) => `${projection}\n${topic}`)
      return [...byTopic.values()].flatMap((partitions) =>
        outcomes.map(([outcome, of]) => {
          const { projection, topic } = partitions[0]!
          const records = partitions.reduce((sum, partition) => sum + partition[of], 0)
          return [{ projection, topic, outcome }, records] as const
        }),
      )
    },
  )
}

const outcomes = [
  ['applied', 'applied'],
  ['not_of_interest', 'notOfInterest'],
  ['duplicate', 'duplicates'],
  ['dead_lettered', 'deadLettered'],
  ['marker', 'markers'],
  ['pending', 'pending'],
] as const satisfies readonly (readonly [string, keyof ReconciledPartition])[]

interface PlaceOf {
  readonly projection: string
  readonly topic: string
  readonly partition: number
}

const amiss = (
  alarms: readonly (PlaceOf & { readonly records: number })[],
  { projection, topic, partition }: PlaceOf,
): number =>
  alarms
    .filter((of) => of.projection === projection && of.topic === topic && of.partition === partition)
    .reduce((sum, { records }) => sum + records, 0)

/** Those that alarms go by are told also where there is none. */
const countStates = (positions: MovingProjection['positions']): Map<string, number> => {
  const counts = new Map([
    ['failed', 0],
    ['stalled', 0],
  ])
  for (const { state } of positions) counts.set(state, (counts.get(state) ?? 0) + 1)
  return counts
}

/** Several measures of one scrape share one look. */
const shared = <Value>(look: () => Promise<Value>): (() => Promise<Value>) => {
  let looking: Promise<Value> | undefined
  return () => {
    looking ??= look().finally(() => {
      looking = undefined
    })
    return looking
  }
}
