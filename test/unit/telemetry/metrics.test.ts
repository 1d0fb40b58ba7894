import { describe, expect, it } from 'vitest'
import type { Log } from '../../../src/log/port.ts'
import { measuredLog } from '../../../src/telemetry/measured-log.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'

const series = async (metrics: ReturnType<typeof createMetrics>, name: string): Promise<string[]> =>
  (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith(name))

describe('metrics', () => {
  it('count what projections applied by the batch', async () => {
    const metrics = createMetrics('worker')
    metrics.projection('lead_profile').batch({ records: 2_000, duplicates: 3, seconds: 0.02 })
    metrics.projection('lead_profile').batch({ records: 3_000, duplicates: 0, seconds: 0.03 })

    expect(await series(metrics, 'embudo_projection_applied_total')).toEqual([
      'embudo_projection_applied_total{projection="lead_profile",role="worker"} 5000',
    ])
    expect(await series(metrics, 'embudo_projection_duplicates_total')).toEqual([
      'embudo_projection_duplicates_total{projection="lead_profile",role="worker"} 3',
    ])
    expect(await series(metrics, 'embudo_projection_batch_records_count')).toEqual([
      'embudo_projection_batch_records_count{role="worker",projection="lead_profile"} 2',
    ])
  })

  it('count the steps of sagas by outcome', async () => {
    const metrics = createMetrics('worker')
    metrics.saga('enrollment').step('take_payment', 'refused')

    expect(await series(metrics, 'embudo_saga_steps_total')).toEqual([
      'embudo_saga_steps_total{saga="enrollment",step="take_payment",outcome="refused",role="worker"} 1',
    ])
  })

  it('ask for levels on each scrape, and show none that is past', async () => {
    const metrics = createMetrics('worker')
    const sizes = [
      [
        [{ tank: 'north', side: 0 }, 7],
        [{ tank: 'north', side: 1 }, 2],
      ],
      [[{ tank: 'north', side: 0 }, 0]],
    ] as const
    let scrapes = 0
    metrics.levels('embudo_tank', 'How full.', ['tank', 'side'], async () => sizes[scrapes++]!)

    expect(await series(metrics, 'embudo_tank')).toEqual([
      'embudo_tank{tank="north",side="0",role="worker"} 7',
      'embudo_tank{tank="north",side="1",role="worker"} 2',
    ])
    expect(await series(metrics, 'embudo_tank')).toEqual([
      'embudo_tank{tank="north",side="0",role="worker"} 0',
    ])
  })

  it('are given also while a store cannot be asked', async () => {
    const metrics = createMetrics('worker')
    metrics.collectSagas(() => Promise.reject(new Error('no connection')))

    expect(await series(metrics, 'embudo_sagas')).toEqual([])
    expect(await series(metrics, 'embudo_scrape_failures_total')).toEqual([
      'embudo_scrape_failures_total{metric="embudo_sagas",role="worker"} 1',
    ])
    expect((await series(metrics, 'process_cpu_seconds_total')).length).toBe(1)
  })

  it('time appends and know what waits for acknowledgement', async () => {
    const metrics = createMetrics('http')
    const acknowledged = Promise.withResolvers<[]>()
    const log = measuredLog({ append: () => acknowledged.promise } as unknown as Log, metrics.append)
    const record = { topic: 't', partition: 0, key: Buffer.alloc(4), value: Buffer.alloc(96), headers: [] }

    const appending = log.append([record, record])
    expect(await series(metrics, 'embudo_append_pending_bytes')).toEqual([
      'embudo_append_pending_bytes{role="http"} 200',
    ])
    acknowledged.resolve([])
    await appending
    expect(await series(metrics, 'embudo_append_pending_bytes')).toEqual([
      'embudo_append_pending_bytes{role="http"} 0',
    ])
    expect(await series(metrics, 'embudo_append_seconds_count')).toEqual([
      'embudo_append_seconds_count{role="http"} 1',
    ])
  })
})
