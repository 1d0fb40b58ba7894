import { describe, expect, it } from 'vitest'
import { sagasCommand } from '../../../src/commands/sagas.ts'
import { run } from './command-line.ts'
import { scriptedServer } from './scripted-server.ts'

const saga = {
  id: 'enrollment:E-1',
  type: 'enrollment',
  version: 1,
  subject: 'E-1',
  state: 'COMPENSATED',
  startedAt: '2026-11-20T10:00:00.000Z',
  endedAt: '2026-11-20T10:00:02.500Z',
  timeline: [
    { at: '2026-11-20T10:00:00.000Z', step: null, what: 'started', attempt: null, error: null },
    {
      at: '2026-11-20T10:00:01.000Z',
      step: 'take_payment',
      what: 'refused',
      attempt: 2,
      error: 'card_declined',
    },
    { at: '2026-11-20T10:00:02.000Z', step: 'reserve_seat', what: 'undone', attempt: 1, error: null },
  ],
}

describe('sagas', () => {
  it('lists those that are asked for', async () => {
    await using server = await scriptedServer(() => ({
      status: 200,
      body: { items: [saga], nextCursor: null },
    }))
    const ran = await run(sagasCommand, [
      'sagas',
      'list',
      '--state',
      'compensated',
      '--subject',
      'E-1',
      '--url',
      server.url,
    ])
    expect(ran.status).toBe(0)
    expect(ran.out).toMatch(/enrollment:E-1 +enrollment +E-1 +COMPENSATED .* 2.5 s/)
    expect(server.received[0]?.url).toBe('/api/sagas?state=COMPENSATED&subject=E-1&limit=50')
  })

  it('shows the timeline of one', async () => {
    await using server = await scriptedServer(() => ({ status: 200, body: saga }))
    const ran = await run(sagasCommand, ['sagas', 'show', 'enrollment:E-1', '--url', server.url])
    expect(ran.out).toMatch(/enrollment E-1 {2}COMPENSATED {2}2\.5 s/)
    expect(ran.out).toMatch(/10:00:01\.000 +1\.0 s +take_payment +refused {2}attempt 2 {2}card_declined/)
    expect(server.received[0]?.url).toBe('/api/sagas/enrollment%3AE-1')
  })

  it('prints what the server said with --json', async () => {
    await using server = await scriptedServer(() => ({ status: 200, body: saga }))
    expect((await run(sagasCommand, ['sagas', 'show', 'x', '--url', server.url, '--json'])).json()).toEqual(
      saga,
    )
  })

  it('is wrong use without an id', async () => {
    expect((await run(sagasCommand, ['sagas', 'show'])).status).toBe(2)
    expect((await run(sagasCommand, ['sagas', 'list', '--limit', 'many'])).status).toBe(2)
  })
})
