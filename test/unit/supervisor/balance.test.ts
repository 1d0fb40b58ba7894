import { describe, expect, it } from 'vitest'
import { connectionsToGiveUp } from '../../../src/supervisor/balance.ts'

const load = (utilization: number, connections: number) => ({ utilization, connections })

describe('connections to give up', () => {
  it('are half of them where one of two processes has everything to do', () => {
    const [all, none] = [load(1, 64), load(0, 0)]
    expect(connectionsToGiveUp(all, [all, none])).toBe(32)
    expect(connectionsToGiveUp(none, [all, none])).toBe(0)
  })

  it('are none where all are as busy, or nobody is busy', () => {
    const [one, other] = [load(0.95, 40), load(0.8, 24)]
    expect(connectionsToGiveUp(one, [one, other])).toBe(0)
    const [some, idle] = [load(0.4, 64), load(0, 0)]
    expect(connectionsToGiveUp(some, [some, idle])).toBe(0)
  })

  it('leave the last one, which would only take its load along', () => {
    const [one, idle] = [load(1, 1), load(0, 0)]
    expect(connectionsToGiveUp(one, [one, idle])).toBe(0)
    const three = load(1, 3)
    expect(connectionsToGiveUp(three, [three, idle, idle, idle])).toBe(2)
  })

  it('are none of a process that has had no requests, or is alone', () => {
    const [busyElsewhere, idle] = [load(1, 0), load(0, 0)]
    expect(connectionsToGiveUp(busyElsewhere, [busyElsewhere, idle])).toBe(0)
    expect(connectionsToGiveUp(load(1, 64), [load(1, 64)])).toBe(0)
  })
})
