import { expect, it } from 'vitest'
import * as generated from '../../../schemas/events.generated.ts'
import { catalogOf } from '../../../src/define/catalog.ts'
import { dataSchema, isPersonalId } from '../../../src/ingest/event-schema.ts'

const catalog = catalogOf(generated)
const megabyte = 'a%40'.repeat(250_000)

// Searching a megabyte for a mail address would take minutes: the tests would not end in time.

it('an id that is too long is not searched for a mail address', () => {
  expect(isPersonalId('ada%40example.com')).toBe(true)
  expect(isPersonalId(`${'a%40'.repeat(60)}b.c`)).toBe(true)
  expect(isPersonalId(megabyte)).toBe(false)
})

it('a text that is too long is refused for that alone, whatever else its field asks for', () => {
  for (const event of catalog.events.values()) {
    for (const field of event.fields.filter(({ kind }) => kind.is === 'string')) {
      if (field.oneOf !== undefined) continue
      const { error } = dataSchema(event).safeParse({ [field.name]: megabyte })
      const issues = error?.issues.filter(({ path }) => path[0] === field.name)
      expect(issues?.map(({ code }) => code)).toEqual(['too_big'])
    }
  }
})
