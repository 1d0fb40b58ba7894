import { describe, expect, it } from 'vitest'
import { type PartitionFacts, reconcilePartition } from '../../../src/projection/reconcile.ts'

/** A hundred records, of which the last ten are not read yet. */
const facts = (changed: Partial<PartitionFacts> = {}): PartitionFacts => ({
  reader: { name: 'events', kind: 'event tables' },
  generation: 1,
  state: 'live',
  topic: 'embudo.leads',
  bounds: { partition: 3, start: 0, end: 100 },
  origin: 0,
  nextOffset: 90,
  applied: 70,
  ignored: 8,
  duplicates: 7,
  deadLettered: 4,
  markers: 1,
  letters: { parked: 4, waiting: 3 },
  stored: { rows: 70, offsets: 70 },
  ...changed,
})

const codes = (changed: Partial<PartitionFacts>) =>
  reconcilePartition(facts(changed)).mismatches.map(({ code, records }) => `${records} ${code}`)

describe('a partition', () => {
  it('adds up where every record that was read is in one of the counts', () => {
    expect(reconcilePartition(facts())).toMatchObject({
      ...{ projection: 'events', topic: 'embudo.leads', partition: 3 },
      ...{ appended: 100, read: 90, pending: 10, holes: 0, uncounted: 0, mismatches: [] },
    })
  })

  it('is reckoned from where the reader began to count, in a log that has lost its beginning', () => {
    const late = facts({ bounds: { partition: 3, start: 20, end: 120 }, origin: 20, nextOffset: 110 })
    expect(reconcilePartition(late)).toMatchObject({
      ...{ appended: 100, read: 90, pending: 10, holes: 0, uncounted: 20, mismatches: [] },
    })
  })

  it('has a hole where nothing became of a record that was read', () => {
    expect(reconcilePartition(facts({ ignored: 5 }))).toMatchObject({ holes: 3 })
    expect(codes({ ignored: 5 })).toEqual(['3 records_unaccounted'])
    expect(codes({ duplicates: 9 })).toEqual(['2 records_counted_twice'])
  })

  it('does not add up where dead letters went, or came, without being counted', () => {
    expect(codes({ letters: { parked: 3, waiting: 3 } })).toEqual(['1 dead_letters_differ'])
    expect(codes({ letters: { parked: 6, waiting: 3 } })).toEqual(['2 dead_letters_differ'])
  })

  it('says loudly that the log has lost what was never read', () => {
    const lost = facts({ bounds: { partition: 3, start: 95, end: 100 } })
    expect(codes(lost)).toEqual(['5 log_beginning_lost'])
    expect(reconcilePartition(lost)).toMatchObject({ appended: 5, pending: 5 })
  })

  it('says loudly that the log ends before what was read', () => {
    expect(codes({ bounds: { partition: 3, start: 0, end: 60 } })).toEqual(['30 log_end_lost'])
  })

  it('compares what was applied with the rows that are there', () => {
    expect(codes({ stored: { rows: 68, offsets: 68 } })).toEqual(['2 rows_missing'])
    expect(codes({ stored: { rows: 73, offsets: 70 } })).toEqual(['3 rows_doubled'])
    expect(codes({ stored: { rows: 70, offsets: 69 } })).toEqual(['1 rows_doubled', '1 rows_missing'])
    expect(codes({ stored: { rows: 74, offsets: 74 } })).toEqual(['4 rows_unexpected'])
    expect(codes({ stored: null })).toEqual([])
  })

  it('bears rows of dead letters that are being applied, which are counted a moment later', () => {
    expect(codes({ stored: { rows: 73, offsets: 73 } })).toEqual([])
  })
})
