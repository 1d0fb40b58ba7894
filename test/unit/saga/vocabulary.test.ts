import { describe, expect, it } from 'vitest'
import type { EventOf } from '../../../src/define/event.ts'
import { done, type Effects, fail, type StepContext, saga, step, succeed } from '../../../src/define/saga.ts'
import { checked, loadSagas } from '../../../src/saga/load.ts'
import { retryDelayMs } from '../../../src/saga/retry-delay.ts'
import '../../../schemas/events.generated.ts'

interface Ports {
  readonly door: { open(key: string): Promise<void> }
}
const effects: Effects<Ports> = { connect: () => ({ door: { open: async () => {} } }) }
const call = async () => done()
const open = async ({ ports, idempotencyKey }: StepContext<Ports, 'lead_registered'>) => {
  await ports.door.open(idempotencyKey)
  return done()
}
const base = { name: 'visit', version: 1, startedBy: 'lead_registered', deadline: '1 hour', effects } as const

describe('the vocabulary of sagas', () => {
  it('makes a definition that the runner can read', () => {
    const visit = saga({
      ...base,
      steps: [
        step('open', { call: open, undo: call }),
        step('stay', {
          call,
          awaits: { webinar_attended: succeed, by: (event) => event.data.leadId, within: '5 minutes' },
          retry: { attempts: 2 },
        }),
      ],
    })
    expect(visit).toMatchObject({ kind: 'saga', deadlineMs: 3_600_000, startedBy: 'lead_registered' })
    expect(visit.steps[1]).toMatchObject({
      name: 'stay',
      isPivot: false,
      retry: { attempts: 2, baseDelayMs: 200 },
    })
    expect(visit.steps[1]!.awaits).toMatchObject({ withinMs: 300_000 })
    expect([...visit.steps[1]!.awaits!.verdicts.keys()]).toEqual(['webinar_attended'])
  })

  it('takes the reason of a failure from its event', () => {
    const event = (data: unknown) => ({ type: 'payment_failed', data }) as EventOf<'payment_failed'>
    expect(fail(event({ reason: 'card_declined' }))).toEqual({ is: 'refused', reason: 'card_declined' })
    expect(fail(event({}))).toEqual({ is: 'refused', reason: 'payment_failed' })
  })
})

describe('a definition is refused', () => {
  it('without steps, with two of one name, or with two pivots', () => {
    const make = (...steps: ReturnType<typeof step<Ports, 'lead_registered', string>>[]) =>
      saga({ ...base, steps })
    expect(() => checked(make())).toThrow('needs a step')
    expect(() => checked(make(step('a', { call }), step('a', { call })))).toThrow('same name')
    expect(() => checked(make(step('a', { call, pivot: true }), step('b', { call, pivot: true })))).toThrow(
      'one pivot',
    )
  })
})

it('the sagas of a folder are found', async () => {
  const found = await loadSagas(new URL('../../../sagas', import.meta.url).pathname)
  expect(found.map(({ name, version }) => `${name}/${version}`)).toContain('enrollment/1')
})

it('a retry waits twice as long each time, up to a limit, half of it by chance', () => {
  const policy = { attempts: 9, baseDelayMs: 100, maxDelayMs: 500, timeoutMs: 1 }
  const delays = (random: number) =>
    [1, 2, 3, 4].map((failures) => retryDelayMs(failures, policy, () => random))
  expect(delays(1)).toEqual([100, 200, 400, 500])
  expect(delays(0)).toEqual([50, 100, 200, 250])
})
