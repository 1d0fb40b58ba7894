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
const firstSeed = 7

it(`nothing accepted is lost and nothing is counted twice when everything is killed ${kills} times`, async () => {
  await using program = await Program.start()
  const accepted: Accepted[] = []
  // One that has told faster than it was watched has met no kill: then the next is told, with others.
  for (let seed = firstSeed, met = 0; met === 0; seed++) {
    const told = await tellAndKill(program, seed)
    met = told.met
    accepted.push(...told.accepted)
  }
  const records = await expectExactlyOnce(program.run)
  const inLog = new Set(records.map(({ id, source }) => `${source} ${id}`))
  expect(accepted.filter(({ id, source }) => !inLog.has(`${source} ${id}`))).toEqual([])
}, 900_000)

interface Accepted {
  readonly id: string
  readonly source: string
}

/** `met`: how many of the kills came while it was told. */
const tellAndKill = async (
  program: Program,
  seed: number,
): Promise<{ met: number; accepted: readonly Accepted[] }> => {
  const random = seeded(seed)
  const moments = Array.from({ length: kills }, (_, n) =>
    Math.floor(((n + random()) / kills) * events * 0.75),
  )
  const ledger = join(program.dataDir, `ledger-${seed}`)
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
  const { status, stdout, stderr } = await demo
  expect(`${status} ${stderr.slice(-500)}`).toMatch(/^0 /)
  const accepted = linesOf(ledger).map((line) => JSON.parse(line) as Accepted)
  expect(JSON.parse(stdout)).toMatchObject({ accepted: accepted.length, rejected: 0 })
  return { met, accepted }
}

const linesOf = (ledger: string): string[] => readFileSync(ledger, 'utf8').trimEnd().split('\n')

/** A line of the ledger is about this long: the exact moment does not matter, that it is the same does. */
const lineBytes = 120
const acceptedIn = (ledger: string): number =>
  (statSync(ledger, { throwIfNoEntry: false })?.size ?? 0) / lineBytes
