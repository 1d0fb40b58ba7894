import { Readable } from 'node:stream'
import avro from 'avsc'
import { describe, expect, it } from 'vitest'
import * as generated from '../../../schemas/events.generated.ts'
import { catalogOf } from '../../../src/define/catalog.ts'
import { avroType } from '../../../src/log/codec.ts'
import { containerOf, Rows } from '../../../src/projection/clickhouse/container.ts'

const schema = catalogOf(generated).events.get('webinar_attended')!.current.schema
const payload = (leadId: string) =>
  avroType(schema).toBuffer({ leadId, webinarId: 'W-1', attendanceDuration: 2710, engagementScore: 0.5 })

const row = (offset: number, more: Partial<Parameters<Rows['add']>[0]> = {}) => ({
  id: `e-${offset}`,
  timeMs: Date.parse('2026-11-20T10:00:00.123Z'),
  appendedAtMs: 1_795_168_800_000,
  source: 'zoom',
  partition: 3,
  offset,
  ...more,
})

/** By a reader that is not ours. */
const read = async (container: Buffer[]): Promise<Record<string, unknown>[]> => {
  const found: Record<string, unknown>[] = []
  const decoder = new avro.streams.BlockDecoder()
  Readable.from([Buffer.concat(container)]).pipe(decoder)
  for await (const value of decoder) found.push({ ...(value as object) })
  return found
}

describe('a container', () => {
  it('is a file that any Avro reader takes, metadata before the payload', async () => {
    const rows = new Rows()
    rows.add(row(7), payload('L-1'), 0)
    expect(await read(containerOf(schema, [rows]))).toEqual([
      {
        _event_id: 'e-7',
        _time: Date.parse('2026-11-20T10:00:00.123Z'),
        _appended_at: 1_795_168_800_000,
        _source: 'zoom',
        _partition: 3,
        _offset: 7,
        leadId: 'L-1',
        webinarId: 'W-1',
        attendanceDuration: 2710,
        engagementScore: 0.5,
      },
    ])
  })

  it('leaves the framing of a payload out', async () => {
    const rows = new Rows()
    rows.add(row(0), Buffer.concat([Buffer.from([0, 0, 0, 0, 9]), payload('L-9')]), 5)
    expect(await read(containerOf(schema, [rows]))).toMatchObject([{ leadId: 'L-9' }])
  })

  it('takes the rows of several partitions, as many as there are', async () => {
    const [one, other] = [new Rows(), new Rows()]
    for (let offset = 0; offset < 3_000; offset++) one.add(row(offset), payload(`L-${offset}`), 0)
    other.add(row(5_000_000_000, { partition: 4 }), payload('L-x'), 0)
    const found = await read(containerOf(schema, [one, other]))
    expect(found).toHaveLength(3_001)
    expect(found[2_999]).toMatchObject({ _offset: 2_999, leadId: 'L-2999' })
    expect(found[3_000]).toMatchObject({ _offset: 5_000_000_000, _partition: 4 })
    expect([one.count, one.firstOffset, one.lastOffset]).toEqual([3_000, 0, 2_999])
  })

  it.each([
    '',
    'ä€😀',
    'x'.repeat(63),
    'x'.repeat(64),
    'ä'.repeat(32),
    'y'.repeat(10_000),
    '€'.repeat(9_000),
  ])('writes a text as it is (%#)', async (id) => {
    const rows = new Rows()
    rows.add(row(0, { id }), payload('L-1'), 0)
    rows.add(row(1), payload('L-2'), 0)
    expect((await read(containerOf(schema, [rows]))).map((found) => found._event_id)).toEqual([id, 'e-1'])
  })

  it.each([0, -1, 1, 63, 64, -64, -65, 2 ** 31, -(2 ** 31) - 1, 2 ** 41, -(2 ** 41), 2 ** 51])(
    'writes the number %i as it is',
    async (timeMs) => {
      const rows = new Rows()
      rows.add(row(0, { timeMs }), payload('L-1'), 0)
      expect(await read(containerOf(schema, [rows]))).toMatchObject([{ _time: timeMs }])
    },
  )
})
