import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { finished, Program } from '../../program.ts'
import { extent } from './extent.ts'
import { expectExactlyOnce } from './oracle.ts'
import { seeded } from './seeded.ts'

const leads = extent({ full: 10_000, short: 2_000 })
const kills = extent({ full: 8, short: 3 })
/** A lead has about seven events. */
const events = leads * 6.5
const seed = 7

it(`nothing accepted is lost and nothing is counted twice when everything is killed ${kills} times`, async () => {
  const random = seeded(seed)
  const moments = Array.from({ length: kills }, (_, n) =>
    Math.floor(((n + random()) / kills) * events * 0.75),
  )
  await using program = await Program.start()
  const ledger = join(program.dataDir, 'ledger')
  const teller = program.command(
    'demo',
    '--leads',
    `${leads}`,
    '--seed',
    `${seed}`,
    '--ledger',
    ledger,
    '--timeout',
    '600',
    '--json',
  )
  const demo = finished(teller)

  let met = 0
  for (const moment of moments) {
    await until(`${moment} events are accepted`, () => acceptedIn(ledger) >= moment)
    if (teller.exitCode === null) met++
    await program.kill()
    await program.start()
  }
  // Where it has told faster than it was watched, some come too late; not all of them.
  expect(met).toBeGreaterThan(0)

  const { status, stdout, stderr } = await demo
  expect(`${status} ${stderr.slice(-500)}`).toMatch(/^0 /)
  const accepted = linesOf(ledger).map((line) => JSON.parse(line) as { id: string; source: string })
  expect(JSON.parse(stdout)).toMatchObject({ accepted: accepted.length, rejected: 0 })
  const records = await expectExactlyOnce(program.run)
  const inLog = new Set(records.map(({ id, source }) => `${source} ${id}`))
  expect(accepted.filter(({ id, source }) => !inLog.has(`${source} ${id}`))).toEqual([])
}, 900_000)

const linesOf = (ledger: string): string[] => readFileSync(ledger, 'utf8').trimEnd().split('\n')

/** A line of the ledger is about this long: the exact moment does not matter, that it is the same does. */
const lineBytes = 120
const acceptedIn = (ledger: string): number =>
  (statSync(ledger, { throwIfNoEntry: false })?.size ?? 0) / lineBytes
