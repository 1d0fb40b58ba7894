import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { mirrorPositions } from '../../../src/consumer/mirror.ts'
import { raiseEpoch } from '../../../src/consumer/positions.ts'
import { history, ledger } from './models.ts'
import { append, applied, eventually, makeDatabase, makeLog, soleOwner, startProjector } from './world.ts'

let database: Awaited<ReturnType<typeof makeDatabase>>
beforeAll(async () => {
  database = await makeDatabase(inject('parts').databaseUrl)
})
afterAll(() => database[Symbol.asyncDispose]())

const ends = async ({ log, topic }: Awaited<ReturnType<typeof makeLog>>) =>
  Object.fromEntries((await log.bounds(topic)).map(({ partition, end }) => [`${topic}:${partition}`, end]))

describe('the mirror of positions', () => {
  it('follows the live generation of every reader, sagas included, and tells only what changed', async () => {
    const { pool } = database
    const story = await makeLog()
    const { log, prefix, topic } = story
    await append(log, topic, history(51, 100))
    await using _projector = await startProjector({
      log,
      prefix,
      pool,
      projections: [ledger('ledger_shown')],
    })
    await applied({ log, pool, topic }, 'ledger_shown')
    await raiseEpoch(pool, { reader: 'saga:enrollment', generation: 1, topic, partition: 1 }, 5)
    await pool.query(
      `insert into embudo.positions (reader, generation, topic, partition, next_offset, epoch, mark)
       values ('ledger_shown', 2, $1, 0, 1, 1, '')`,
      [topic],
    )
    await pool.query(
      `insert into embudo.generations (projection, generation, version, state) values ('ledger_shown', 2, 1, 'building')`,
    )

    const told: string[] = []
    const watched = {
      mirrorOffsets: async (group: string, offsets: Parameters<typeof log.mirrorOffsets>[1]) => {
        told.push(...offsets.map(({ partition, offset }) => `${group} ${partition} ${offset}`))
        await log.mirrorOffsets(group, offsets)
      },
    }
    const logger = pino({ level: 'silent' })
    const parts = { log: watched, pool, prefix, logger, membership: soleOwner(), everyMs: 5 }
    await using _ = mirrorPositions(parts)

    const shown = () => Object.fromEntries(log.mirrored(`${prefix}ledger_shown`))
    await eventually(
      async () => shown(),
      (seen) => Object.keys(seen).length === 3,
    )
    expect(shown()).toEqual(await ends(story))
    expect(Object.fromEntries(log.mirrored(`${prefix}saga.enrollment`))).toEqual({ [`${topic}:1`]: 5 })

    await append(log, topic, history(53, 40))
    await applied({ log, pool, topic }, 'ledger_shown')
    const expected = Object.entries(await ends(story))
    await eventually(
      async () => shown(),
      (seen) => expected.every(([place, end]) => seen[place] === end),
    )
    expect(new Set(told).size).toBe(told.length)
  })

  it('warns while the log cannot be reached, fails nothing, and goes on', async () => {
    const { pool } = database
    const story = await makeLog()
    const { log, prefix, topic } = story
    const lines: { level: number; msg: string }[] = []
    const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) })
    await raiseEpoch(pool, { reader: 'ledger_away', generation: 1, topic, partition: 0 }, 7)
    const reconnect = log.faults.disconnect()
    await using _ = mirrorPositions({ log, pool, prefix, logger, membership: soleOwner(), everyMs: 5 })
    await eventually(
      async () => lines.length,
      (count) => count > 0,
    )
    reconnect()
    await eventually(
      async () => log.mirrored(`${prefix}ledger_away`).get(`${topic}:0`),
      (offset) => offset === 7,
    )
    await eventually(
      async () => lines.map(({ level }) => level),
      (levels) => levels.join() === '40,30',
    )
  })
})
