import { expect, it } from 'vitest'
import * as generated from '../../../schemas/events.generated.ts'
import { catalogOf } from '../../../src/define/catalog.ts'
import { eventTables } from '../../../src/define/event-tables.ts'
import { topicsOf } from '../../../src/projection/definition.ts'

it('event tables read every topic that others send to, and none of embudo’s own', () => {
  const catalog = catalogOf(generated)
  const topics = topicsOf(eventTables({ name: 'events', version: 1 }), catalog, 'e.')
  expect(topics).toContain('e.leads')
  expect(topics).not.toContain('e.corrections')
  expect(topics).toHaveLength(catalog.topics.length - 1)
})
