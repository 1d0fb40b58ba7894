import { type Bounds, checkSink, findChecker, rules } from './tlc.ts'

/** `make spec`: the model of the ClickHouse sink holds, and fails where any one of its rules is left out. */
const bounds: Bounds = { records: 2, maxEpoch: 4, losses: 1, restores: 1 }

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const progress = (line: string): void => void process.stderr.write(`  ${line}\n`)

const checker = await findChecker()
if (checker === undefined) {
  say('missing: Java, or Python 3.10 or later with venv and ensurepip (on Debian: apt install python3-venv)')
  process.exit(1)
}
let failed = 0
for (const without of [...rules, undefined]) {
  const name = without === undefined ? 'the sink' : `its twin without ${without}`
  const startedAt = performance.now()
  const { violated, distinctStates } = await checkSink(checker, bounds, without, progress)
  const isRight = (violated === undefined) === (without === undefined)
  if (!isRight) failed++
  const found = violated === undefined ? 'holds' : `violates ${violated}`
  const seconds = Math.round((performance.now() - startedAt) / 1_000)
  say(
    `${isRight ? 'right' : 'WRONG'}  ${name} ${found}  ${distinctStates.toLocaleString('en')} states, ${seconds} s`,
  )
}
process.exitCode = failed === 0 ? 0 : 1
