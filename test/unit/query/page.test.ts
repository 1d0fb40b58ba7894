import { describe, expect, it } from 'vitest'
import leadProfile from '../../../projections/lead_profile/projection.ts'
import { leadListing } from '../../../src/query/lead-listing.ts'
import { listingOf } from '../../../src/query/listing.ts'
import { type PageQuery, pageStatement } from '../../../src/query/page.ts'
import { parsePositions, waitForPosition } from '../../../src/query/read-position.ts'

const first: PageQuery = { limit: 2, cursor: undefined, sort: undefined, filters: {} }

describe('the statement of a page', () => {
  const listing = listingOf({
    name: 'm',
    columns: { id: 'text primary key', at: 'timestamptz', mail: 'personal' },
  })
  const tail = (query: Partial<PageQuery>) => {
    const { text, values } = pageStatement(listing, { ...first, ...query })
    return [text.slice(text.indexOf(' from ')), values]
  }

  it('begins at the key', () => {
    expect(tail({})).toEqual([' from public."m" order by "id" asc limit 3', []])
  })

  it('carries values as parameters only', () => {
    expect(tail({ filters: { id: "x' or true" }, sort: '-at' })).toEqual([
      ' from public."m" where "id" = $1::text order by "at" desc nulls last, "id" limit 3',
      ["x' or true"],
    ])
  })

  it('goes on behind a row, also behind one with null', () => {
    const by = (sort: string) => pageStatement(listing, { ...first, sort })
    const cursor = by('-at').cursorAfter({ _sort: '2026-11-20 10:00:00+00', _key0: 'k' })
    expect(tail({ sort: '-at', cursor })).toEqual([
      ' from public."m" where ("at" < $2::timestamptz or ("at" = $2::timestamptz and ("id") > ($1::text)) or "at" is null)' +
        ' order by "at" desc nulls last, "id" limit 3',
      ['k', '2026-11-20 10:00:00+00'],
    ])
    const behindNull = by('at').cursorAfter({ _sort: null, _key0: 'k' })
    expect(tail({ sort: 'at', cursor: behindNull })[0]).toContain(
      'where ("at" is null and ("id") > ($1::text))',
    )
  })

  it('compares keys of several columns as a whole', () => {
    const two = listingOf({
      name: 'm',
      columns: { a: 'text primary key', b: 'integer primary key', n: 'bigint' },
    })
    const cursor = pageStatement(two, { ...first, sort: '-a' }).cursorAfter({
      _sort: 'x',
      _key0: 'x',
      _key1: '3',
    })
    expect(pageStatement(two, { ...first, sort: '-a', cursor }).text).toContain(
      'where ("a" < $1::text or ("a" = $1::text and ("b") > ($2::integer))) order by "a" desc, "b" limit',
    )
  })

  it('knows no personal column', () => {
    expect(() => tail({ sort: 'mail' })).toThrow('personal')
    expect(() => tail({ filters: { mail: 'x' } })).toThrow('personal')
  })
})

it('a lead is its profile under the published names', () => {
  expect(leadListing(leadProfile).fields.map(({ name }) => name)).toEqual([
    'leadId',
    'email',
    'firstName',
    'lastName',
    'company',
    'source',
    'registeredAt',
    'webinarsAttended',
    'attendanceSeconds',
    'contentConsumed',
    'conversions',
    'revenue',
    'engagementScore',
    'firstSeenAt',
    'lastSeenAt',
  ])
})

describe('waiting for a position', () => {
  const waiting = (answers: number[]) => {
    let now = 0
    const parts = {
      partitionsOf: () => 1,
      readPositions: async () => new Map([['t:0', answers.shift() ?? 0]]),
      findParked: async () => undefined,
      readWaitMs: 50,
      nowMs: () => now,
      wait: async (ms: number) => {
        now += ms
      },
    }
    return { answer: waitForPosition(parts, { name: 'm', topic: 't' }, 't:0:7, other:0:9'), now: () => now }
  }

  it('ends as soon as the place is applied', async () => {
    const { answer, now } = waiting([3, 7, 8])
    await answer
    expect(now()).toBe(15)
  })

  it('gives up in time', async () => {
    await expect(waiting([]).answer).rejects.toMatchObject({ code: 'position_not_reached', retriable: true })
  })

  it('refuses a partition that no topic has, rather than have a caller wait for ever', async () => {
    const parts = {
      partitionsOf: (topic: string) => (topic === 't' ? 2 : undefined),
      readPositions: async () => new Map([['t:0', 3]]),
      findParked: async () => undefined,
      readWaitMs: 1_000,
      nowMs: () => 0,
      wait: async () => {},
    }
    await expect(waitForPosition(parts, { name: 'm', topic: 't' }, 't:2:1')).rejects.toMatchObject({
      code: 'bad_position',
    })
    await expect(waitForPosition(parts, { name: 'm' }, 'other:0:1')).rejects.toMatchObject({
      code: 'bad_position',
    })
    await expect(waitForPosition(parts, { name: 'm' }, 't:0:2')).resolves.toBeUndefined()
  })

  it('waits for a partition that nobody has taken yet', async () => {
    const seen = [new Map([['t:0', 3]]), new Map([['t:1', 9]])]
    const parts = {
      partitionsOf: () => 2,
      readPositions: async () => seen.shift() ?? new Map(),
      findParked: async () => undefined,
      readWaitMs: 1_000,
      nowMs: () => 0,
      wait: async () => {},
    }
    await expect(waitForPosition(parts, { name: 'm', topic: 't' }, 't:1:8')).resolves.toBeUndefined()
    expect(seen).toEqual([])
  })

  it('reads the header as answers write it', () => {
    expect(parsePositions('embudo.leads:3:1042, a-b_c:0:0')).toEqual([
      { topic: 'embudo.leads', partition: 3, offset: 1042 },
      { topic: 'a-b_c', partition: 0, offset: 0 },
    ])
    for (const bad of ['x', 'a:b:c', 'a:1', 'a:1:2,', 'a:-1:2', 'a:1:2 b'])
      expect(() => parsePositions(bad)).toThrow('Embudo-Position')
  })
})
