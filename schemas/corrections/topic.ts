import { topic } from '../../src/define/topic.ts'

/** What operators have decided about records that could not be applied. Written by embudo alone. */
export const corrections = topic({ name: 'corrections', subject: 'place', partitions: 1, isInternal: true })
