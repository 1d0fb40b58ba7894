import { describe, expect, it } from 'vitest'
import { projectionsCommand } from '../../../src/commands/projections.ts'
import { run } from './command-line.ts'
import { type Scripted, scriptedServer } from './scripted-server.ts'

const repaired = { name: 'lead_profile', subjects: 2, changed: 1, seconds: 0.4, failed: [] }
const lines = (...all: object[]): Scripted => ({ status: 200, body: all.at(-1)! })

const repair = (url: string, ...args: string[]) =>
  run(projectionsCommand, ['projections', 'repair', 'lead_profile', ...args, '--url', url])

describe('projections repair', () => {
  it('asks for the subjects and says what was wrong', async () => {
    await using server = await scriptedServer(() => lines(repaired))
    const ran = await repair(server.url, '--subject', 'L-1', 'L-2')
    expect([ran.status, ran.out]).toEqual([
      0,
      'repaired  lead_profile: 1 rows of 2 subjects were not what the log says, 400 ms\n',
    ])
    expect(server.received).toEqual([
      expect.objectContaining({
        ...{ method: 'POST', url: '/api/projections/lead_profile/repair' },
        lines: [{ subjects: ['L-1', 'L-2'] }],
      }),
    ])
  })

  it('takes a time, in any zone', async () => {
    await using server = await scriptedServer(() => lines(repaired))
    const ran = await repair(
      server.url,
      '--from',
      '2026-11-20',
      '--to',
      '2026-11-20T02:00:00+01:00',
      '--json',
    )
    expect([ran.status, ran.json()]).toEqual([0, repaired])
    expect(server.received[0]!.lines).toEqual([
      { from: '2026-11-20T00:00:00.000Z', to: '2026-11-20T01:00:00.000Z' },
    ])
  })

  it('fails where a row could not be repaired, or the server says so', async () => {
    const failed = [{ key: 'L-1', code: 'fold_failed', detail: 'cannot apply it' }]
    await using some = await scriptedServer(() => lines({ ...repaired, failed }))
    const ran = await repair(some.url, '--subject', 'L-1')
    expect([ran.status, ran.out]).toEqual([1, expect.stringContaining('not repaired  L-1: cannot apply it')])
    await using none = await scriptedServer(() => ({
      status: 409,
      body: { code: 'not_repairable', detail: 'rebuild it', retriable: false },
    }))
    const refused = await repair(none.url, '--subject', 'L-1')
    expect([refused.status, refused.err]).toEqual([1, 'embudo: rebuild it\n'])
    await using broken = await scriptedServer(() =>
      lines({ error: { code: 'log_changed', detail: 'another', retriable: false } }),
    )
    expect((await repair(broken.url, '--subject', 'L-1')).err).toBe('embudo: another\n')
    await using strange = await scriptedServer(() => lines({ hello: 'world' }))
    expect((await repair(strange.url, '--subject', 'L-1')).err).toContain('repairing again is safe')
    await using lost = await scriptedServer(() => 'lost')
    expect((await repair(lost.url, '--subject', 'L-1')).err).toContain('no embudo answers')
  })

  it.each([
    [[]],
    [['--subject', 'L-1', '--from', '2026-11-20', '--to', '2026-11-21']],
    [['--from', '2026-11-20']],
    [['--from', '2026-11-20', '--to', '2026-11-20']],
    [['--from', 'monday', '--to', '2026-11-20']],
  ])('refuses %j', async (args) => {
    expect((await repair('http://127.0.0.1:1', ...args)).status).toBe(2)
  })
})
