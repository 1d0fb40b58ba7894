import { describe, expect, it } from 'vitest'
import { checkSink, findChecker } from '../spec/tlc.ts'

const checker = await findChecker()

const bounds = { records: 2, maxEpoch: 2, losses: 1, restores: 1 }

/** The short form of `make spec`. */
describe.skipIf(checker === undefined)('the model of the ClickHouse sink', () => {
  it('holds every row once, in every order of what can happen', async () => {
    const { violated, distinctStates } = await checkSink(checker!, bounds)
    expect(violated).toBeUndefined()
    expect(distinctStates).toBeGreaterThan(5_000)
  })

  it.each(['Tail', 'Past', 'Checked'] as const)('fails without %s', async (rule) => {
    expect((await checkSink(checker!, bounds, rule)).violated).toMatch(/Once|NoLoss/)
  })
})
