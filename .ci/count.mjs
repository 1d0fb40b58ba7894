// The last word of .ci/run: counts what passed and failed, and exits non-zero where anything did.
import { readFileSync } from 'node:fs'

const [reportFile, checked, tested] = process.argv.slice(2)
const isChecked = checked === '0'
const { numPassedTests = 0, numFailedTests = 0, testResults = [] } = read(reportFile)

// A file that cannot even be loaded fails without a failed test in it.
const broken = testResults.filter(
  ({ status, assertionResults }) =>
    status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
)
const passed = numPassedTests + (isChecked ? 1 : 0)
const counted = numFailedTests + broken.length
// Unhandled errors, an empty run, a run that was cut off: vitest's own word is the last.
const failed = counted + (tested !== '0' && counted === 0 ? 1 : 0) + (isChecked ? 0 : 1)

if (!isChecked) say('make check failed')
for (const { name } of broken) say(`could not be run: ${name}`)
say(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1

function read(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return {}
  }
}

function say(line) {
  process.stdout.write(`${line}\n`)
}
