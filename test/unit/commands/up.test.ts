import { Writable } from 'node:stream'
import { expect, it } from 'vitest'
import { commandContext } from '../../../src/commands/context.ts'
import { jsonShower } from '../../../src/commands/up.ts'

it('up --json says where everything is in one line, without passwords, and all else beside it', () => {
  const said = { out: '', err: '' }
  const into = (name: 'out' | 'err') =>
    new Writable({
      write(piece, _encoding, done) {
        said[name] += String(piece)
        done()
      },
    })
  let now = 1_000
  const show = jsonShower(
    commandContext({ stdout: into('out'), stderr: into('err'), isTerminal: true, now: () => now }),
  )
  show({ is: 'progress', part: 'kafka', what: 'starting' })
  now = 3_500
  show({
    is: 'serving',
    http: 'http://127.0.0.1:4000',
    worker: 'http://127.0.0.1:4001',
    processes: 2,
    addresses: {
      kafkaBrokers: '127.0.0.1:9092',
      registryUrl: 'http://127.0.0.1:8081',
      databaseUrl: 'postgres://:hush@127.0.0.1:5432/embudo',
      clickhouseUrl: 'http://127.0.0.1:8123/?password=hush',
    },
  })
  show({ is: 'notice', part: 'kafka', line: 'ended, starting it again' })
  show({ is: 'stopping' })
  expect(said.out).toMatch(/^[^\n]*\n$/)
  expect(JSON.parse(said.out)).toEqual({
    http: 'http://127.0.0.1:4000',
    worker: 'http://127.0.0.1:4001',
    processes: 2,
    kafka: '127.0.0.1:9092',
    registry: 'http://127.0.0.1:8081',
    postgres: 'postgres://:***@127.0.0.1:5432/embudo',
    clickhouse: 'http://127.0.0.1:8123/?password=***',
    seconds: 2.5,
  })
  expect(said.err).toMatch(/kafka +starting\nkafka +ended, starting it again\nstopping\n/)
})
