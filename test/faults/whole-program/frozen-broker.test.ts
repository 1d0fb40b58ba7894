import { stderr } from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Program } from '../../program.ts'
import { extent } from './extent.ts'
import { Ledger } from './ledger.ts'
import { forgetPeak, megabytes, residentBytes } from './memory.ts'
import { expectExactlyOnce } from './oracle.ts'
import { seeded } from './seeded.ts'
import { keysOf, startSenders } from './senders.ts'

const appendTimeoutMs = 10_000
/** Longer than that. */
const frozenMs = extent({ full: 60_000, short: 15_000 })

const inFlightBytes = 8 * 1024 * 1024
const settings = {
  EMBUDO_APPEND_TIMEOUT_MS: String(appendTimeoutMs),
  EMBUDO_MAX_IN_FLIGHT_BYTES: String(inFlightBytes),
  EMBUDO_MAX_PENDING_BYTES: String(inFlightBytes),
}

/**
 * Of about 16 KB each, so that what all of them send at once is ten times what may be in flight, and that one body of
 * lines goes to the log in three pieces.
 */
const shapes = {
  single: { senders: 200, keys: 1, rounds: 1 },
  array: { senders: 20, keys: 5, rounds: 4 },
  lines: { senders: 30, keys: 2, rounds: 75 },
}
const company = 'Analytical Engines '.repeat(850)

/**
 * What the process may grow by while nothing leaves it: what may be pending, twice over as bytes and as the objects
 * that they were read from, and the room that V8 takes for what it has not collected yet.
 */
const maxGrowthBytes = 4 * inFlightBytes + 128 * 1024 * 1024

/** Appending and waiting for room take ten seconds each; the rest only a request that hangs takes. */
const hangMs = 140_000

it(`a broker that stands still for ${frozenMs / 1_000} s costs neither answers nor memory, and then it goes on`, async () => {
  await using program = await Program.start(settings)
  const { http: [http] = [], kafka: [, kafka] = [] } = program.run.pids
  if (http === undefined || kafka === undefined) throw new Error('its processes are not known')
  const { now: atStart } = residentBytes(http)
  forgetPeak(http)
  const keys = keysOf(shapes)
  const ledger = new Ledger('frozen-broker', keys, (n) => ({
    type: 'lead_updated',
    time: new Date(Date.parse('2026-01-01T00:00:00Z') + n * 1_000).toISOString(),
    data: { leadId: `L-${n % keys}`, company: `${company}${n}` },
  }))
  using sending = startSenders(program, ledger, { shapes, random: seeded(5), repeats: 0 })
  await sending.untilFurther(1_000)
  const [acknowledged, peak] = [ledger.acknowledged, residentBytes(http).peak]

  process.kill(kafka, 'SIGSTOP')
  await delay(frozenMs)
  const whileFrozen = residentBytes(http).peak
  const refused = ledger.answers(503) + ledger.answers(429)
  const { status: alive } = await fetch(`${program.run.http}/livez`)
  process.kill(kafka, 'SIGCONT')

  await sending.untilFurther(2_000)
  await sending.stop()
  const atEnd = residentBytes(http).peak
  const log = await expectExactlyOnce(program.run)
  const counts = ledger.expectIn(log)
  const said = Object.entries(counts).map(([name, count]) => `${name} ${count}`)
  stderr.write(
    `frozen for ${frozenMs / 1_000} s: ${acknowledged} acknowledged before, ${refused} refused, slowest answer ` +
      `${(ledger.slowestMs / 1_000).toFixed(1)} s, resident ${megabytes(atStart)} at the start, at most ` +
      `${megabytes(peak)} before, ${megabytes(whileFrozen)} while frozen, ${megabytes(atEnd)} in the end; ${said.join(', ')}\n`,
  )
  expect(alive).toBe(200)
  expect(refused).toBeGreaterThan(0)
  expect(counts.unanswered).toBe(0)
  expect(ledger.slowestMs).toBeLessThan(hangMs)
  expect(atEnd - atStart).toBeLessThan(maxGrowthBytes)
}, 600_000)
