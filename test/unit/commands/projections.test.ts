import { describe, expect, it } from 'vitest'
import { projectionsCommand } from '../../../src/commands/projections.ts'
import { run } from './command-line.ts'
import { type Received, type Scripted, scriptedServer } from './scripted-server.ts'

const item = (rebuild: object | null = null) => ({
  name: 'lead_profile',
  kind: 'read model',
  version: 1,
  state: 'live',
  lag: 1_234,
  positions: [],
  rebuild,
})
const page = (rebuild: object | null = null): Scripted => ({
  status: 200,
  body: { items: [item(rebuild)], nextCursor: null },
})
const replaying = { state: 'replaying', percent: 40, eventsPerSecond: 61_000, etaSeconds: 3 }

const rebuilding =
  (...polls: Scripted[]) =>
  ({ method }: Received, before: number): Scripted =>
    method === 'POST' ? { status: 202, body: item(replaying) } : (polls[before - 1] ?? page())

describe('projections list', () => {
  it('shows how far each is behind', async () => {
    await using server = await scriptedServer(() => page(replaying))
    const ran = await run(projectionsCommand, ['projections', 'list', '--url', server.url])
    expect(ran.status).toBe(0)
    expect(ran.out).toMatch(/lead_profile +read model +1 +live +1,234 +replaying 40% +61,000\/s +ETA 3.0 s/)
  })

  it('shows which generations there are', async () => {
    const generations = [
      { generation: 2, state: 'previous', error: 'another log' },
      { generation: 3, state: 'live' },
    ]
    await using server = await scriptedServer(() => ({
      status: 200,
      body: { items: [{ ...item(), generations }], nextCursor: null },
    }))
    const ran = await run(projectionsCommand, ['projections', 'list', '--url', server.url])
    expect(ran.out).toMatch(/lead_profile .* 2 previous \(failed\), 3 live/)
  })

  it('passes the answer on with --json', async () => {
    await using server = await scriptedServer(() => page())
    const ran = await run(projectionsCommand, ['projections', 'list', '--url', server.url, '--json'])
    expect(ran.json()).toEqual({ items: [item()], nextCursor: null })
  })
})

describe('projections rebuild', () => {
  const rebuild = ['projections', 'rebuild', 'lead_profile']

  it('waits until the new generation is live', async () => {
    await using server = await scriptedServer(rebuilding(page(replaying), page(replaying)))
    const ran = await run(projectionsCommand, [...rebuild, '--url', server.url, '--json'])
    expect(ran.status).toBe(0)
    expect(ran.json()).toMatchObject({ name: 'lead_profile', state: 'live' })
    expect(server.received.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'POST /api/projections/lead_profile/rebuild',
      ...Array(3).fill('GET /api/projections'),
    ])
  })

  it('goes on looking when the server is away for a moment', async () => {
    await using server = await scriptedServer(
      rebuilding(page(replaying), 'lost', {
        status: 503,
        body: { code: 'stopping', detail: 'x', retriable: true },
      }),
    )
    expect((await run(projectionsCommand, [...rebuild, '--url', server.url])).status).toBe(0)
  })

  it('fails with the reason', async () => {
    await using server = await scriptedServer(
      rebuilding(page({ state: 'failed', error: 'the topic has lost its beginning' })),
    )
    const ran = await run(projectionsCommand, [...rebuild, '--url', server.url])
    expect(ran.status).toBe(1)
    expect(ran.err).toContain('the topic has lost its beginning; readers still see the old generation')
  })

  it('says what to do where the new rows differ', async () => {
    await using server = await scriptedServer(rebuilding(page({ ...replaying, state: 'differs' })))
    const ran = await run(projectionsCommand, [...rebuild, '--url', server.url])
    expect(ran).toMatchObject({ status: 1, err: expect.stringContaining('projections verify lead_profile') })
  })

  it('asks for a rate and to be left unseen, and says when it could be seen', async () => {
    await using server = await scriptedServer(
      rebuilding(page(replaying), page({ ...replaying, state: 'caught up', percent: 100 })),
    )
    const ran = await run(projectionsCommand, [
      ...[...rebuild, '--hold', '--max-per-second', '500', '--url', server.url],
    ])
    expect(ran).toMatchObject({ status: 0, out: expect.stringMatching(/^caught up .*nobody sees it yet/) })
    expect(server.received[0]?.lines).toEqual([{ switch: 'manual', maxPerSecond: 500 }])
  })

  it('fails where it was given up meanwhile', async () => {
    const begun = { name: 'lead_profile', generation: 2, state: 'building' }
    const generations = [{ generation: 1, state: 'live' }]
    await using server = await scriptedServer(({ method }) =>
      method === 'POST'
        ? { status: 202, body: begun }
        : { status: 200, body: { items: [{ ...item(), generations }], nextCursor: null } },
    )
    const ran = await run(projectionsCommand, [...rebuild, '--url', server.url])
    expect(ran).toMatchObject({ status: 1, err: expect.stringContaining('given up') })
  })

  it('returns at once with --no-wait', async () => {
    await using server = await scriptedServer(rebuilding())
    const ran = await run(projectionsCommand, [...rebuild, '--no-wait', '--url', server.url])
    expect(ran).toMatchObject({ status: 0, out: expect.stringContaining('has begun') })
    expect(server.received).toHaveLength(1)
  })

  it('says that it goes on when one stops looking', async () => {
    const interrupt = new AbortController()
    await using server = await scriptedServer(rebuilding(...Array(100).fill(page(replaying))))
    const wait = async () => interrupt.abort()
    const ran = await run(projectionsCommand, [...rebuild, '--url', server.url], {
      signal: interrupt.signal,
      wait,
    })
    expect(ran).toMatchObject({ status: 1, err: expect.stringContaining('goes on in the server') })
  })

  it("gives the server's own words for an unknown projection, as JSON too", async () => {
    await using server = await scriptedServer(() => ({
      status: 404,
      body: { code: 'unknown_projection', detail: 'there is no nope' },
    }))
    const ran = await run(projectionsCommand, [
      'projections',
      'rebuild',
      'nope',
      '--url',
      server.url,
      '--json',
    ])
    expect(ran.status).toBe(1)
    expect(JSON.parse(ran.err)).toEqual({
      error: { code: 'unknown_projection', detail: 'there is no nope', retriable: false },
    })
  })
})

describe('projections verify', () => {
  const verify = ['projections', 'verify', 'lead_profile']
  const equal = {
    name: 'lead_profile',
    at: '2026-11-20T10:00:00.000Z',
    live: { generation: 2, version: 1 },
    other: { generation: 1, version: 1 },
    ...{ rows: 12_000, differences: 0, examples: [], columns: {}, onlyLive: 0, onlyOther: 0 },
  }
  const differing = {
    ...equal,
    ...{ differences: 2, columns: { conversions: 1 }, onlyOther: 1, deadLettered: 1 },
    examples: [
      { key: 'L-7', live: { conversions: 3 }, other: { conversions: 2 }, columns: ['conversions'] },
      { key: 'L-8', live: null, other: { conversions: 1 }, columns: [], deadLettered: 'live' },
    ],
  }
  const asked = async (body: object, ...args: string[]) => {
    await using server = await scriptedServer(() => ({ status: 200, body }))
    const ran = await run(projectionsCommand, [...verify, '--url', server.url, ...args])
    return { ...ran, asked: server.received.map(({ method, url }) => `${method} ${url}`) }
  }

  it('says that they are equal', async () => {
    expect(await asked(equal)).toMatchObject({
      status: 0,
      out: 'equal  12,000 rows of lead_profile, generation 2 (live) and 1, at equal positions\n',
      asked: ['POST /api/projections/lead_profile/verify'],
    })
  })

  it('fails where they differ, with what differs, as a table and as JSON', async () => {
    const ran = await asked(differing)
    expect(ran.status).toBe(1)
    expect(ran.out).toContain('conversions: 1 rows')
    expect(ran.out).toMatch(/L-7 +conversions +3 +2\n/)
    expect(ran.out).toMatch(/L-8 \(dead letter\) +\(the row\) +missing +there/)
    expect(ran.err).toContain('2 of 12,000 rows of lead_profile differ')

    const json = await asked(differing, '--json')
    expect(json.status).toBe(1)
    expect(json.json()).toEqual(differing)
    expect(JSON.parse(json.err)).toMatchObject({ error: { code: 'verify_differs' } })
  })

  it('explains the differences of another version, and does not fail', async () => {
    const ran = await asked({
      ...differing,
      live: { generation: 2, version: 2 },
      otherColumns: ['company'],
      notCompared: 4,
    })
    expect(ran.status).toBe(0)
    expect(ran.out).toContain('version 2 is live, generation 1 is of version 1')
    expect(ran.out).toContain('in one version only: company')
    expect(ran.out).toContain('4 rows could not be compared')
  })
})

describe('what is done with generations', () => {
  const answer = { name: 'lead_profile', generation: 2, version: 1, state: 'building', paused: false }

  it.each([
    [['switch'], [], 'see generation 2'],
    [['rollback'], [], 'see generation 2'],
    [['pause'], [], 'Generation 2 of lead_profile (building) rests'],
    [['resume'], [], 'goes on'],
    [['resume', '--max-per-second', '100'], [{ maxPerSecond: 100 }], 'goes on'],
    [['resume', '--unlimited'], [{ maxPerSecond: null }], 'goes on'],
    [['drop'], [{ generation: 'previous' }], 'given up'],
    [['drop', '--building'], [{ generation: 'building' }], 'given up'],
  ])('%s', async ([what = '', ...more], lines, said) => {
    await using server = await scriptedServer(() => ({ status: 200, body: answer }))
    const args = ['projections', what, 'lead_profile', ...more, '--url', server.url]
    expect(await run(projectionsCommand, args)).toMatchObject({
      status: 0,
      out: expect.stringContaining(said),
    })
    expect(server.received).toEqual([{ method: 'POST', url: `/api/projections/lead_profile/${what}`, lines }])
    expect((await run(projectionsCommand, [...args, '--json'])).json()).toEqual(answer)
  })
})
