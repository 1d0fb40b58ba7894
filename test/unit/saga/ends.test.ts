import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { refused } from '../../../src/define/saga.ts'
import type { Input } from '../../../src/saga/decide.ts'
import { enrollment, paymentCompleted, paymentFailed, Simulation, threw, went } from './simulation.ts'

/** How the outside may answer; `cut` is a process that dies with the outcome. */
const answer = fc.constantFrom('went', 'went', 'threw', 'refused', 'cut', 'late')
const mail = fc.constantFrom('completed', 'failed', 'silence')

describe('whatever happens to a saga', () => {
  it('it ends, and takes back in reverse order what was begun', () => {
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 80 }), mail, (answers, letter) => {
        const sim = new Simulation()
        play(sim, answers, letter)
        expect(['COMPLETED', 'COMPENSATED', 'COMPENSATION_FAILED']).toContain(sim.saga.state)
        expect(inReverse(sim.ran)).toBe(true)
        if (sim.saga.state === 'COMPLETED') expect(sim.ran.filter((run) => run.endsWith('undo'))).toEqual([])
        if (sim.saga.state === 'COMPENSATED') expect(sim.saga.undo).toEqual([])
        expect(sim.saga.dueAtMs).toBeNull()
      }),
      { numRuns: 3_000 },
    )
  })

  it('every undo was on record before its call ran', () => {
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 80 }), mail, (answers, letter) => {
        const sim = new Simulation()
        play(sim, answers, letter, () => {
          const step = enrollment.steps.find(({ name }) => name === sim.saga.step)!
          if (sim.isRunning && step.undo !== undefined) expect(sim.saga.undo.at(-1)).toBe(step.name)
        })
      }),
      { numRuns: 1_000 },
    )
  })
})

/** Answers run out at some time, then everything goes well; a saga must end within a bound of moves. */
const play = (
  sim: Simulation,
  answers: readonly string[],
  letter: string,
  look: () => void = () => {},
): void => {
  let next = 0
  for (let moves = 0; moves < 1_000 && sim.saga.dueAtMs !== null; moves++) {
    if (sim.saga.state === 'WAITING' && letter !== 'silence') {
      sim.tell(letter === 'completed' ? paymentCompleted : paymentFailed)
    } else if (!sim.isRunning) sim.due()
    else {
      const what = answers[next++] ?? 'went'
      if (what === 'late') sim.nowMs += enrollment.deadlineMs / 3
      if (what === 'cut') sim.due()
      else sim.tell(inputOf(what))
    }
    look()
  }
}

const inputOf = (what: string): Input => {
  if (what === 'threw') return threw
  if (what === 'refused') return refused('no')
  return went
}

const inReverse = (ran: readonly string[]): boolean => {
  const called = [...new Set(ran.filter((run) => run.endsWith('call')).map((run) => run.split(' ')[0]!))]
  const undone = [...new Set(ran.filter((run) => run.endsWith('undo')).map((run) => run.split(' ')[0]!))]
  return (
    undone.join() ===
    called
      .filter((name) => undone.includes(name))
      .toReversed()
      .join()
  )
}
