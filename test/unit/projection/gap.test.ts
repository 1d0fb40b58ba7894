import { expect, it } from 'vitest'
import { gapsBetween } from '../../../src/projection/gap.ts'

const at = (partition: number, nextOffset: number) => ({ topic: 'leads', partition, nextOffset })

it('a gap is what the one has applied and the other has not, by partition, whichever is behind', () => {
  expect(gapsBetween([at(0, 10), at(1, 5), at(2, 7)], [at(0, 4), at(1, 9), at(2, 7)])).toEqual([
    { topic: 'leads', partition: 0, behind: 'other', from: 4, to: 10 },
    { topic: 'leads', partition: 1, behind: 'live', from: 5, to: 9 },
  ])
})

it('one that has no position yet has applied nothing', () => {
  expect(gapsBetween([at(0, 3)], [])).toEqual([
    { topic: 'leads', partition: 0, behind: 'other', from: 0, to: 3 },
  ])
})
