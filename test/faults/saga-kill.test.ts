import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, inject, it } from 'vitest'
import { kafkaLog } from '../../src/log/kafka-log.ts'
import {
  append,
  enrollmentRequested,
  eventsIn,
  eventually,
  makeDatabase,
  makeTopics,
} from '../integration/saga/world.ts'

const { databaseUrl, kafkaBrokers } = inject('parts')
const patient = { connectTimeoutMs: 60_000, requestTimeoutMs: 60_000, deliveryTimeoutMs: 600_000 }

/** mulberry32: the same kills for the same seed. */
const seeded = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

it.each([1, 2])(
  'sagas whose process is killed again and again end as if nothing had been (seed %i)',
  async (seed) => {
    const random = seeded(seed)
    const prefix = `kill${randomUUID().slice(0, 8)}.`
    await using database = await makeDatabase(databaseUrl)
    await using log = await kafkaLog({ brokers: [kafkaBrokers], clientId: 'saga-kill', ...patient })
    await makeTopics(log, prefix)

    const methods = ['pm_card_visa', 'pm_card_visa', 'pm_embudo_flaky', 'pm_card_chargeDeclined']
    const requested: { id: string; paymentMethod: string }[] = []
    const request = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) {
        const paymentMethod = methods[requested.length % methods.length]!
        const id = `E-${requested.length}`
        requested.push({ id, paymentMethod })
        await append(log, enrollmentRequested(id, { paymentMethod }), prefix)
      }
    }

    for (let kill = 0; kill < 8; kill++) {
      const child = await startChild({ databaseUrl: database.url, brokers: kafkaBrokers, prefix })
      await request(6)
      // Moments, not waits: anything between two statements may be where it dies.
      await delay(random() * 350)
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    const child = await startChild({ databaseUrl: database.url, brokers: kafkaBrokers, prefix })
    try {
      const rows = async (sql: string) => (await database.pool.query(sql)).rows
      await eventually(
        () => rows('select count(*)::int as ended from embudo.sagas where ended_at is not null'),
        ([{ ended }]) => ended === requested.length,
      )
      await eventually(
        () => rows('select from embudo.saga_outbox'),
        (left) => left.length === 0,
      )

      const declined = requested.filter(({ paymentMethod }) => paymentMethod === 'pm_card_chargeDeclined')
      const paid = requested.length - declined.length
      expect(await rows('select state, count(*)::int as n from embudo.sagas group by 1 order by 1')).toEqual([
        { state: 'COMPENSATED', n: declined.length },
        { state: 'COMPLETED', n: paid },
      ])
      expect(await rows('select sum(held)::int as held from sandbox.courses')).toEqual([{ held: paid }])
      expect(
        await rows('select state, count(*)::int as n from sandbox.payments group by 1 order by 1'),
      ).toEqual([
        { state: 'charged', n: paid },
        { state: 'declined', n: declined.length },
      ])
      expect(
        await rows('select is_customer, count(*)::int as n from sandbox.crm_customers group by 1'),
      ).toEqual([{ is_customer: true, n: paid }])
      expect(
        await rows(`select saga_id, step, what from embudo.saga_journal where what in ('done', 'undone', 'completed', 'compensated')
        group by 1, 2, 3 having count(*) > 1`),
      ).toEqual([])

      // A record may be there twice, under one id; of events there are exactly these.
      const events = await eventsIn(log, 'enrollments', prefix)
      const once = [...new Map(events.map((event) => [event.id, event])).values()]
      const typesOf = (id: string) => once.filter(({ subject }) => subject === id).map(({ type }) => type)
      for (const { id, paymentMethod } of requested) {
        expect(typesOf(id)).toEqual(
          paymentMethod === 'pm_card_chargeDeclined'
            ? ['enrollment_requested', 'seat_reserved', 'seat_released', 'enrollment_cancelled']
            : ['enrollment_requested', 'seat_reserved', 'enrollment_confirmed'],
        )
      }
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  },
  600_000,
)

const startChild = async (where: Record<string, string>): Promise<ChildProcess> => {
  const child = fork(new URL('saga-worker.ts', import.meta.url), [JSON.stringify(where)], {
    stdio: 'inherit',
  })
  const [said] = await Promise.race([once(child, 'message'), once(child, 'exit')])
  if (said !== 'started') throw new Error(`the worker ended with ${said}`)
  return child
}
