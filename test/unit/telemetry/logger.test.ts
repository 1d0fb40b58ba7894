import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { EmbudoError } from '../../../src/define/error.ts'
import { createLogger, type LogStream } from '../../../src/telemetry/logger.ts'

const capture = (isTTY: boolean) => {
  const lines: string[] = []
  const stream: LogStream = { isTTY, write: (line) => lines.push(line) }
  return { lines, logger: createLogger({ level: 'info', role: 'ingest', stream }) }
}

describe('a log line', () => {
  it('is JSON with the role, the level and an ISO time', () => {
    const { lines, logger } = capture(false)
    logger.info({ port: 4000 }, 'listening')

    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 30,
      role: 'ingest',
      port: 4000,
      msg: 'listening',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    })
  })

  it('carries an error with its code, facts and cause', () => {
    const { lines, logger } = capture(false)
    const cause = new Error('connect ECONNREFUSED')
    logger.warn(
      { err: new EmbudoError('log_unavailable', 'no broker answers', { facts: { tried: 3 }, cause }) },
      'append failed',
    )

    expect(JSON.parse(lines[0]!).err).toMatchObject({
      code: 'log_unavailable',
      facts: { tried: 3 },
      stack: expect.stringContaining('connect ECONNREFUSED'),
    })
  })

  it('holds no secret, wherever it stands', () => {
    const { lines, logger } = capture(false)
    logger.info(
      {
        databaseUrl: 'postgres://embudo:hunter2@db:5432/embudo',
        kafka: { deep: { sasl: { mechanism: 'plain', username: 'me', password: 'hun"ter2' } } },
        headers: { authorization: 'Bearer hunter2' },
        KAFKA_SASL_PASSWORD: 'hunter2',
        err: new Error('cannot reach http://user:hunter2@clickhouse:8123/: authorization: Basic hunter2'),
      },
      'connecting to https://u:hunter2@registry',
    )

    expect(lines.join('')).not.toMatch(/hun.{0,2}ter2/)
    expect(JSON.parse(lines[0]!)).toMatchObject({
      databaseUrl: 'postgres://embudo:***@db:5432/embudo',
      kafka: { deep: { sasl: { mechanism: 'plain', username: 'me', password: '***' } } },
    })
  })

  it('is one that people can read on a terminal, and holds no secret there either', () => {
    const { lines, logger } = capture(true)
    logger.info({ port: 4000, url: 'postgres://e:hunter2@db/x', note: 'two words' }, 'listening')
    logger.error({ err: new EmbudoError('part_died', 'Kafka ended. See kafka.log.') }, 'stopping')

    const [first, second] = lines.map((line) => stripVTControlCharacters(line))
    expect(first).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} info {2}ingest listening port=4000 url=postgres:\/\/e:\*\*\*@db\/x note="two words"\n$/,
    )
    expect(second).toMatch(/stopping\n {4}part_died: Kafka ended\. See kafka\.log\.\n$/)
  })

  it('below the level is not written', () => {
    const { lines, logger } = capture(false)
    logger.debug('detail')
    expect(lines).toEqual([])
  })
})
