import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { catalogOf, type GeneratedSchemas } from '../../../src/define/catalog.ts'
import type { AvroRecord } from '../../../src/define/field.ts'
import { avroType, Codec } from '../../../src/log/codec.ts'
import { ensureEventTables } from '../../../src/projection/clickhouse/tables.ts'
import { openWorld, Story, type World } from './sink-world.ts'

const schema = (...fields: AvroRecord['fields']): AvroRecord => ({
  type: 'record',
  namespace: 'embudo.leads',
  name: 'scored',
  fields: [{ name: 'leadId', type: 'string' }, ...fields],
})
const reason = { name: 'reason', type: ['null', 'string'], default: null }
const schemas = [
  schema({ name: 'points', type: 'long', default: 0 }),
  schema({ name: 'points', type: 'long', default: 0 }, reason),
  schema({ name: 'score', type: 'long', default: 0 }, reason),
] as const

/** The program as it was when the event had that many versions; the third has a field by another name. */
const programOf = (count: number) => {
  const catalog = catalogOf({
    topics: [{ name: 'leads', subject: 'leadId', partitions: 3 }],
    versions: schemas
      .slice(0, count)
      .map((it, index) => ({ topic: 'leads', type: 'scored', version: index + 1, schema: it })),
    upcasts:
      count < 3
        ? {}
        : { 'scored/2': ({ points, ...data }: Record<string, unknown>) => ({ ...data, score: points }) },
  } as unknown as GeneratedSchemas)
  const ids = new Map(schemas.slice(0, count).map((_, index) => [`scored/${index + 1}`, index + 1]))
  return { catalog, codec: new Codec(catalog, ids, async () => Promise.reject(new Error('no registry'))) }
}

const written = (version: 1 | 2 | 3, data: object): Buffer =>
  Buffer.concat([Buffer.from([0, 0, 0, 0, version]), avroType(schemas[version - 1]!).toBuffer(data)])

describe('the table of an event whose schema changes', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld(inject('parts'))
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
  })

  /** Start the program of that day, let it read to the end, stop it. */
  const run = async (story: Story, versions: number, generation: number): Promise<void> => {
    const { catalog, codec } = programOf(versions)
    await ensureEventTables(world.clickhouse, catalog, generation)
    await using _ = story.start({ codec, generation })
    await story.untilRead(generation)
  }
  const rows = (generation: number, columns: string) =>
    world.select(`SELECT leadId, ${columns} FROM scored_g${generation} ORDER BY leadId`)

  it('gets a column for a new field, beside the rows from before', async () => {
    const story = new Story(world)
    await story.appendOnce(0)
    await story.appendValue(0, written(1, { leadId: 'L-1', points: 7 }))
    await run(story, 1, 7)
    await story.appendValue(0, written(2, { leadId: 'L-2', points: 8, reason: 'webinar' }))
    await story.appendValue(0, written(1, { leadId: 'L-3', points: 9 }))
    await run(story, 2, 7)
    const all = [
      { leadId: 'L-1', points: '7', reason: null },
      { leadId: 'L-2', points: '8', reason: 'webinar' },
      { leadId: 'L-3', points: '9', reason: null },
    ]
    expect(await rows(7, 'toString(points) AS points, reason')).toEqual(all)
    // As from the log's beginning.
    await run(story, 2, 8)
    expect(await rows(8, 'toString(points) AS points, reason')).toEqual(all)
  })

  it('has events of all versions under the new name of a field, at once and after a rebuild', async () => {
    const story = new Story(world)
    await story.appendOnce(0)
    await story.appendValue(0, written(2, { leadId: 'L-1', points: 7, reason: null }))
    await run(story, 2, 17)
    await story.appendValue(0, written(1, { leadId: 'L-2', points: 8 }))
    await story.appendValue(0, written(3, { leadId: 'L-3', score: 9, reason: 'quiz' }))
    await run(story, 3, 17)
    // The row from before the new name has its value under the old one.
    expect(await rows(17, 'toString(score) AS score, toString(points) AS points')).toEqual([
      { leadId: 'L-1', score: '0', points: '7' },
      { leadId: 'L-2', score: '8', points: '0' },
      { leadId: 'L-3', score: '9', points: '0' },
    ])
    await run(story, 3, 18)
    expect(await rows(18, 'toString(score) AS score, reason')).toEqual([
      { leadId: 'L-1', score: '7', reason: null },
      { leadId: 'L-2', score: '8', reason: null },
      { leadId: 'L-3', score: '9', reason: 'quiz' },
    ])
  })
})
