import { describe, expect, it } from 'vitest'
import { reconcileCommand } from '../../../src/commands/reconcile.ts'
import { run } from './command-line.ts'
import { scriptedServer } from './scripted-server.ts'

const partition = (changed: object = {}) => ({
  ...{ projection: 'events', kind: 'event tables', generation: 1, state: 'live' },
  ...{ topic: 'embudo.leads', partition: 0, appended: 1_100, read: 1_000, applied: 970, notOfInterest: 0 },
  ...{ duplicates: 28, deadLettered: 2, markers: 0, pending: 100, holes: 0, uncounted: 0 },
  ...{ stored: { rows: 970, offsets: 970 }, mismatches: [] },
  ...changed,
})
const hole = { code: 'rows_missing', records: 1, detail: '970 were applied, and ClickHouse has 969 of them' }
const answer = (items: object[], changed: object = {}) => ({
  status: 200,
  body: {
    addsUp: true,
    asOf: '2026-11-20T10:00:00.000Z',
    notCounted: null,
    items,
    nextCursor: null,
    ...changed,
  },
})
const reconcile = async (script: ReturnType<typeof answer>, ...args: string[]) => {
  await using server = await scriptedServer(() => script)
  const ran = await run(reconcileCommand, ['reconcile', '--url', server.url, ...args])
  return { ...ran, asked: server.received[0]!.url }
}

describe('reconcile', () => {
  it('shows the totals of each projection, and ends well where everything adds up', async () => {
    const saga = { projection: 'saga:enrollment', kind: 'saga', stored: null }
    const ran = await reconcile(
      answer([partition(), partition({ topic: 'embudo.payments' }), partition({ ...saga, pending: 0 })]),
    )
    expect(ran.status).toBe(0)
    expect(ran.out).toMatch(/events +2 topics +2,200 +2,000 +1,940 +0 +56 +0 +4 +200 +1,940 +adds up/)
    expect(ran.out).toMatch(/saga:enrollment +embudo.leads +1,100 .* +0 +- +adds up/)
    expect(ran.out).toContain('everything adds up')
  })

  it('names every place where something does not, and fails', async () => {
    const items = [partition(), partition({ partition: 1, mismatches: [hole] })]
    const ran = await reconcile(answer(items, { addsUp: false }), '--partitions')
    expect(ran.status).toBe(1)
    expect(ran.out).toMatch(/events +embudo.leads:0 .*adds up\n/)
    expect(ran.out).toMatch(/events +embudo.leads:1 .*does not\n/)
    expect(ran.out).toContain(
      'does not add up  events (generation 1) in embudo.leads:1: 970 were applied, and ClickHouse has 969 of them',
    )
    expect(ran.err).toContain('in 1 of 2 partitions')
    expect(ran.out).not.toContain('everything adds up')
  })

  it('fails where ClickHouse could not be asked: then it is not known', async () => {
    const ran = await reconcile(answer([partition({ stored: null })], { notCounted: 'no connection' }))
    expect(ran).toMatchObject({ status: 1, err: expect.stringContaining('no connection') })
    expect(ran.out).not.toContain('everything adds up')
  })

  it('tells generations apart, and passes the answer and the filters on', async () => {
    const items = [partition(), partition({ generation: 2, state: 'building' })]
    const shown = await reconcile(answer(items), '--topic', 'leads', '--projection', 'events')
    expect(shown.asked).toBe('/api/reconciliation?topic=leads&projection=events')
    expect(shown.out).toMatch(/events building 2 +embudo.leads/)
    const asJson = await reconcile(answer([partition({ mismatches: [hole] })], { addsUp: false }), '--json')
    expect(asJson.json()).toMatchObject({ addsUp: false, items: [{ mismatches: [hole] }] })
    expect(asJson.status).toBe(1)
  })
})
