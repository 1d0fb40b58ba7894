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
