import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/**
 * The metrics that parts hand their figures to, named in Prometheus' way with units. Labels are looked up once
 * (`projection(name)`), figures are told by the batch. What has a level (lag, sagas by state) is asked for when
 * Prometheus comes. A capability with measures of its own keeps them beside it and registers them here.
 */
export interface Metrics {
  readonly registry: Registry
  readonly append: AppendMetrics
  projection(name: string): ProjectionMetrics
  saga(name: string): SagaMetrics
  /**
   * A level, asked for on each scrape. One answers also while a store does not: what cannot be read is left out, and
   * counted.
   */
  levels<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    read: () => Promise<Iterable<readonly [Record<Label, string | number>, number]>>,
  ): void
  collectSagas(read: () => Promise<readonly SagaCount[]>): void
}

export interface AppendMetrics {
  /** One call of the log's `append`, answered. */
  done(seconds: number): void
  collectPendingBytes(read: () => number): void
}

export interface ProjectionMetrics {
  /** Written and committed. */
  batch(batch: { readonly records: number; readonly duplicates: number; readonly seconds: number }): void
}

export interface SagaMetrics {
  step(name: string, outcome: StepOutcome): void
}

export type StepOutcome = 'done' | 'refused' | 'failed' | 'undone' | 'timed_out'

export interface SagaCount {
  readonly saga: string
  readonly state: string
  readonly count: number
}

/** `process`: its number, where several of these roles answer on one port; a label then, so that no series jumps. */
export const createMetrics = (role: string, process?: number): Metrics => {
  const registry = new Registry()
  const registers = [registry]
  registry.setDefaultLabels({ role, ...(process === undefined ? {} : { process: String(process) }) })
  collectDefaultMetrics({ register: registry })

  const appendSeconds = new Histogram({
    name: 'embudo_append_seconds',
    help: 'From a call of append to the acknowledgement of its last record.',
    buckets: secondsBuckets,
    registers,
  })
  const applied = new Counter({
    name: 'embudo_projection_applied_total',
    help: 'Records whose effect on a projection is committed, those that it has no interest in included.',
    labelNames: ['projection'],
    registers,
  })
  const duplicatesDropped = new Counter({
    name: 'embudo_projection_duplicates_total',
    help: 'Records dropped because their source and id stand shortly before them on the partition.',
    labelNames: ['projection'],
    registers,
  })
  const batchRecords = new Histogram({
    name: 'embudo_projection_batch_records',
    help: 'Records that were committed together.',
    labelNames: ['projection'],
    buckets: [1, 10, 100, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000],
    registers,
  })
  const batchSeconds = new Histogram({
    name: 'embudo_projection_batch_seconds',
    help: 'From taking a batch to its commit.',
    labelNames: ['projection'],
    buckets: secondsBuckets,
    registers,
  })
  const steps = new Counter({
    name: 'embudo_saga_steps_total',
    help: 'Attempts at a saga step or its undo, by how they ended.',
    labelNames: ['saga', 'step', 'outcome'],
    registers,
  })
  const failedScrapes = new Counter({
    name: 'embudo_scrape_failures_total',
    help: 'Times that a measure could not be read when it was asked for; its series are left out then.',
    labelNames: ['metric'],
    registers,
  })

  const levels: Metrics['levels'] = (name, help, labelNames, read) => {
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers,
      async collect() {
        this.reset()
        try {
          for (const [labels, value] of await read()) this.set(labels, value)
        } catch {
          failedScrapes.inc({ metric: name })
        }
      },
    })
  }

  return {
    registry,
    levels,
    append: {
      done: (seconds) => appendSeconds.observe(seconds),
      collectPendingBytes: (read) => {
        new Gauge({
          name: 'embudo_append_pending_bytes',
          help: 'Bytes handed to the log and not yet acknowledged.',
          registers,
          collect() {
            this.set(read())
          },
        })
      },
    },
    projection: memo((projection) => {
      const count = applied.labels(projection)
      const dropped = duplicatesDropped.labels(projection)
      const sizes = batchRecords.labels(projection)
      const durations = batchSeconds.labels(projection)
      return {
        batch: ({ records, duplicates, seconds }) => {
          count.inc(records)
          dropped.inc(duplicates)
          sizes.observe(records)
          durations.observe(seconds)
        },
      }
    }),
    saga: memo((saga) => ({ step: (step, outcome) => steps.labels(saga, step, outcome).inc() })),
    collectSagas: (read) =>
      levels('embudo_sagas', 'Sagas by state.', ['saga', 'state'], async () =>
        (await read()).map(({ count, ...labels }) => [labels, count] as const),
      ),
  }
}

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

const memo = <Value>(make: (name: string) => Value): ((name: string) => Value) => {
  const made = new Map<string, Value>()
  return (name) => {
    const known = made.get(name)
    if (known !== undefined) return known
    const value = make(name)
    made.set(name, value)
    return value
  }
}
