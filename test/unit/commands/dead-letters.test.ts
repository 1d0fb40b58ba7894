import { describe, expect, it } from 'vitest'
import { deadLettersCommand } from '../../../src/commands/dead-letters.ts'
import { run } from './command-line.ts'
import { scriptedServer } from './scripted-server.ts'

const letter = {
  ...{
    id: '17',
    projection: 'lead_profile',
    generation: 1,
    topic: 'embudo.leads',
    partition: 3,
    offset: 1042,
  },
  ...{
    subject: 'L-1',
    type: 'webinar_attended',
    cause: 'poison',
    code: 'fold_failed',
    error: 'no such webinar',
  },
  ...{ state: 'open', attempts: 1, waiting: 2, parkedAt: '2026-11-20T10:00:00.000Z', settledAt: null },
}
const whole = {
  ...letter,
  ...{ appendedAt: '2026-11-20T09:59:00.000Z', headers: {}, data: { leadId: 'L-1', email: '[personal]' } },
}
const page = (...items: object[]) => ({ status: 200, body: { items, nextCursor: null } })

describe('dead-letters', () => {
  it('lists what waits, and why', async () => {
    await using server = await scriptedServer(() => page(letter))
    const ran = await run(deadLettersCommand, [
      ...['dead-letters', 'list', '--projection', 'lead_profile', '--url', server.url],
    ])
    expect(ran.status).toBe(0)
    expect(ran.out).toMatch(
      /17 +lead_profile +L-1 +webinar_attended +embudo.leads:3:1042 +open +2 +no such webinar/,
    )
    expect(server.received[0]?.url).toBe('/api/dead-letters?projection=lead_profile&limit=50')
  })

  it('says so where nothing does', async () => {
    await using server = await scriptedServer(() => page())
    expect((await run(deadLettersCommand, ['dead-letters', 'list', '--url', server.url])).out).toBe(
      'No dead letters.\n',
    )
  })

  it('shows one with its data', async () => {
    await using server = await scriptedServer(() => ({ status: 200, body: whole }))
    const ran = await run(deadLettersCommand, ['dead-letters', 'show', '17', '--url', server.url])
    expect(ran.out).toContain('"email": "[personal]"')
    expect(ran.out).toContain('2 wait behind it')
  })

  it('sends the data that is to stand in its place', async () => {
    await using server = await scriptedServer(() => ({ status: 200, body: { ...letter, state: 'applied' } }))
    const ran = await run(deadLettersCommand, [
      ...[
        'dead-letters',
        'edit',
        '17',
        '--data',
        '{"leadId":"L-1"}',
        '--reason',
        'typo',
        '--url',
        server.url,
      ],
    ])
    expect(ran.status).toBe(0)
    expect(server.received[0]).toMatchObject({
      url: '/api/dead-letters/17/edit',
      lines: [{ data: { leadId: 'L-1' }, reason: 'typo' }],
    })
    expect(
      (await run(deadLettersCommand, ['dead-letters', 'edit', '17', '--data', '[1]', '--url', server.url]))
        .status,
    ).toBe(2)
  })

  it('decides about all that failed themselves, and ends with 1 where one still does', async () => {
    await using server = await scriptedServer(({ method, url }) =>
      method === 'GET'
        ? page(letter, { ...letter, id: '18' })
        : { status: 200, body: { ...letter, state: url.includes('/17/') ? 'applied' : 'open' } },
    )
    const ran = await run(deadLettersCommand, ['dead-letters', 'retry', '--all', '--url', server.url])
    expect(ran.status).toBe(1)
    expect(server.received.map(({ url }) => url)).toEqual([
      '/api/dead-letters?poisonOnly=true&limit=1000',
      '/api/dead-letters/17/retry',
      '/api/dead-letters/18/retry',
    ])
    expect(ran.err).toContain('1 of 2 still cannot be applied: no such webinar')
  })

  it('wants to be told which', async () => {
    const ran = await run(deadLettersCommand, ['dead-letters', 'discard', '--url', 'http://127.0.0.1:1'])
    expect(ran.status).toBe(2)
  })
})
