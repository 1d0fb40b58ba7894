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

  it('names the page behind, and is asked for it', async () => {
    await using server = await scriptedServer(() => ({
      status: 200,
      body: { items: [letter], nextCursor: '17' },
    }))
    const list = ['dead-letters', 'list', '--limit', '1', '--url', server.url]
    expect((await run(deadLettersCommand, list)).out).toContain('more: --cursor 17')
    await run(deadLettersCommand, [...list, '--cursor', '17'])
    expect(server.received[1]?.url).toBe('/api/dead-letters?limit=1&cursor=17')
  })

  it('decides about all of them though some are settled by then, or refused', async () => {
    const refusals: Readonly<Record<string, object>> = {
      '17': { code: 'letter_settled', detail: 'dead letter 17 is discarded' },
      '18': { code: 'letter_of_other_version', detail: 'dead letter 18 is of generation 1' },
    }
    await using server = await scriptedServer(({ method, url }) => {
      if (method === 'GET') return page(letter, { ...letter, id: '18' }, { ...letter, id: '19' })
      const id = url.split('/')[3]!
      const refusal = refusals[id]
      return refusal === undefined
        ? { status: 200, body: { ...letter, id, state: 'discarded' } }
        : { status: 409, body: refusal }
    })
    const discard = ['dead-letters', 'discard', '--url', server.url]
    const all = await run(deadLettersCommand, [...discard, '--all'])
    expect(all.status).toBe(1)
    expect(all.out).toMatch(/discarded +19/)
    expect(all.out).not.toContain('dead letter 17')
    expect(all.err).toContain('1 of 2 could not be decided about: dead letter 18 is of generation 1')
    const named = await run(deadLettersCommand, [...discard, '17'])
    expect(named).toMatchObject({ status: 1 })
    expect(named.err).toContain('dead letter 17 is discarded')
  })

  it('wants to be told which', async () => {
    const ran = await run(deadLettersCommand, ['dead-letters', 'discard', '--url', 'http://127.0.0.1:1'])
    expect(ran.status).toBe(2)
  })
})
