import { describe, expect, it } from 'vitest'
import { demoCommand } from '../../../src/commands/demo.ts'
import { topicsCommand } from '../../../src/commands/topics.ts'
import { run } from './command-line.ts'
import { allAccepted, scriptedServer } from './scripted-server.ts'

describe('the command line', () => {
  it('ends with 0 for help and version', async () => {
    expect(await run(demoCommand, ['--help'])).toMatchObject({
      status: 0,
      out: expect.stringContaining('demo'),
    })
    expect(await run(demoCommand, ['--version'])).toMatchObject({
      status: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
  })

  it('ends with 2 for wrong use, and says what is right', async () => {
    expect((await run(demoCommand, [])).status).toBe(2)
    expect(await run(demoCommand, ['dmeo'])).toMatchObject({
      status: 2,
      out: '',
      err: expect.stringContaining('Did you mean demo?'),
    })
    expect(await run(demoCommand, ['demo', '--leads', 'many'])).toMatchObject({
      status: 2,
      err: expect.stringContaining('a whole number from 1'),
    })
    expect((await run(demoCommand, ['demo', '--nope'])).status).toBe(2)
  })

  it('ends with 1 for what failed, in words or as JSON', async () => {
    expect(await run(topicsCommand, ['topics'])).toMatchObject({
      status: 1,
      out: '',
      err: expect.stringContaining('set KAFKA_BROKERS'),
    })
    const asJson = await run(topicsCommand, ['topics', '--json'])
    expect(JSON.parse(asJson.err)).toMatchObject({ error: { code: 'not_running', retriable: true } })
  })

  it('ends with 2 where the settings are wrong', async () => {
    expect((await run(topicsCommand, ['topics'], { environment: { EMBUDO_PORT: 'x' } })).status).toBe(2)
  })

  it('draws progress and colours on a terminal only', async () => {
    await using server = await scriptedServer(allAccepted)
    const demo = ['demo', '--leads', '10', '--url', server.url]
    expect(await run(demoCommand, demo)).toMatchObject({
      status: 0,
      err: '',
      out: expect.not.stringContaining('\u001b'),
    })
    expect((await run(demoCommand, demo, { showsProgress: true })).err).toContain('100%')
  })
})
