import { describe, expect, it } from 'vitest'
import * as generated from '../../../schemas/events.generated.ts'
import type { DistinctBatch } from '../../../src/consumer/distinct.ts'
import { noCorrections } from '../../../src/dead-letter/corrections.ts'
import { catalogOf } from '../../../src/define/catalog.ts'
import { Codec, framingBytes } from '../../../src/log/codec.ts'
import type { WholeRecord } from '../../../src/log/port.ts'
import { Lane } from '../../../src/projection/clickhouse/lane.ts'
import { Payloads } from '../../../src/projection/clickhouse/payload.ts'
import { RefusedRows } from '../../../src/projection/clickhouse/refused-rows.ts'
import { Writers } from '../../../src/projection/clickhouse/writers.ts'

const catalog = catalogOf(generated)
const ids = new Map(
  [...catalog.events.values()].flatMap((event, index) =>
    event.versions.map(({ version }) => [`${event.type}/${version}`, index * 100 + version] as const),
  ),
)
const codec = new Codec(catalog, ids, async () => Promise.reject(new Error('no registry')))
const sound = codec.encode('content_consumed', {
  leadId: 'L-1',
  contentId: 'C-1',
  contentType: 'article',
  consumptionTime: 3,
})
const poison = sound.subarray(0, 9)

const record = (offset: number, value: Buffer): WholeRecord => ({
  ...{ offset, value, timestamp: 0, key: Buffer.from('L-1') },
  header: () => undefined,
  copyHeader: () => -1,
  headers: () => ({}),
  body: () => Buffer.alloc(0),
})

/** Records from an offset on, `p` for one that is poisoned. */
const batch = (from: number, kinds: string): DistinctBatch => {
  const records = [...kinds].map((kind, index) => record(from + index, kind === 'p' ? poison : sound))
  const place = { topic: 't.leads', partition: 0, highWatermark: 10_000 }
  return { ...place, records, last: records.at(-1)!, duplicates: 0, markers: 0 }
}

const position = {
  ...{ reader: 'events', generation: 1, topic: 't.leads', partition: 0 },
  ...{ nextOffset: 0, epoch: 1, mark: '' },
}

const newLane = ({
  lettersAhead = new Map<number, string>(),
  refused = new RefusedRows(),
}: {
  lettersAhead?: Map<number, string>
  refused?: RefusedRows
} = {}) =>
  new Lane(
    position,
    { held: [[2, 3]], lettersAhead },
    {
      refused: refused.of(position),
      ...{ writers: new Writers(codec), payloads: new Payloads(codec), prefix: 't.' },
      ...{ corrections: noCorrections, maxPoisonedShare: 0.5 },
    },
  )

const taken = (lane: Lane) => {
  const { rows, parked, to } = lane.take()!
  return {
    rows: [...rows.values()].map(({ count, firstOffset, lastOffset }) => [count, firstOffset, lastOffset]),
    parked: parked.map(({ offset }) => offset),
    nextOffset: to.nextOffset,
    counts: to.counts,
  }
}

describe('a lane', () => {
  it('takes a batch whole: rows, those that are there already, and letters', () => {
    const lane = newLane()
    lane.add(batch(0, 'sssspps'))
    expect(taken(lane)).toEqual({
      rows: [[3, 0, 6]],
      parked: [4, 5],
      nextOffset: 7,
      counts: { applied: 5, ignored: 0, duplicates: 0, deadLettered: 2, markers: 0 },
    })
  })

  it('takes nothing of a batch that has too many poisoned records', () => {
    const lane = newLane()
    lane.add(batch(0, `ssss${'p'.repeat(20)}`))
    expect(() => lane.add(batch(24, `sss${'p'.repeat(200)}`))).toThrow(
      'more than EMBUDO_MAX_POISONED_SHARE allows',
    )
    expect(taken(lane)).toMatchObject({
      rows: [[2, 0, 1]],
      parked: Array.from({ length: 20 }, (_, index) => 4 + index),
      nextOffset: 24,
      counts: { applied: 4, deadLettered: 20 },
    })
    expect(lane.hasPending).toBe(false)
  })

  it('settles no letter of a batch of which it takes nothing', () => {
    const lettersAhead = new Map([
      [5, 'mended'],
      [24, 'sound'],
      [27, 'poisoned'],
    ])
    const lane = newLane({ lettersAhead })
    lane.add(batch(0, 'ssssssss'))
    expect(() => lane.add(batch(24, `sss${'p'.repeat(200)}`))).toThrow()
    expect(lane.take()?.settled).toEqual({ applied: ['mended'], failed: [] })
  })

  it('parks what ClickHouse has refused, and nothing else that stands at the same offset', () => {
    const refused = new RefusedRows()
    const lane = newLane({ refused })
    refused.note(position, 1, sound.subarray(framingBytes), 'too large')
    refused.note(position, 4, Buffer.from('before it was edited'), 'too large')
    lane.add(batch(0, 'ssssss'))
    const { rows, parked, counts } = taken(lane)
    expect({ rows, parked, counts }).toMatchObject({
      rows: [[3, 0, 5]],
      parked: [1],
      counts: { applied: 5, deadLettered: 1 },
    })
  })

  it('counts what ClickHouse has refused among the poison', () => {
    const refused = new RefusedRows()
    const lane = newLane({ refused })
    for (let offset = 4; offset < 204; offset++)
      refused.note(position, offset, sound.subarray(framingBytes), 'too large')
    expect(() => lane.add(batch(0, 's'.repeat(204)))).toThrow('more than EMBUDO_MAX_POISONED_SHARE allows')
    expect(lane.hasPending).toBe(false)
  })

  it('gives a letter that is retried and refused its reason', async () => {
    const refused = new RefusedRows()
    const lane = newLane({ refused })
    refused.note(position, 1, sound.subarray(framingBytes), 'too large')
    await lane.retry([{ ...record(1, sound), id: 'L' }], new Set())
    expect(lane.take()?.settled).toEqual({
      applied: [],
      failed: [{ id: 'L', error: expect.objectContaining({ code: 'row_refused' }) }],
    })
  })
})
