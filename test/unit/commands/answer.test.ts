import { describe, expect, it } from 'vitest'
import { judge } from '../../../src/commands/sending/answer.ts'

const answer = (status: number, body: unknown, askedMs?: number) => ({
  status,
  body,
  askedMs,
  position: 'embudo.leads:0:41',
})
const error = (index: number, retriable = false) => ({
  index,
  id: null,
  code: 'missing_field',
  field: '/data/leadId',
  detail: 'expected text',
  retriable,
})

describe('an answer to a batch', () => {
  it('accepts all', () => {
    expect(judge(answer(202, { accepted: 2, rejected: 0, errors: [] }), 2)).toMatchObject({
      is: 'answered',
      accepted: [0, 1],
      again: [],
      position: 'embudo.leads:0:41',
    })
  })

  it('rejects some for good', () => {
    const verdict = judge(answer(207, { accepted: 2, rejected: 1, errors: [error(1)] }), 3)
    expect(verdict).toMatchObject({ is: 'answered', accepted: [0, 2], again: [] })
    expect(verdict.is === 'answered' && verdict.rejected.get(1)).toMatchObject({
      code: 'missing_field',
      field: '/data/leadId',
    })
  })

  it('leaves the rest unknown from where it stopped, whatever the status', () => {
    const body = {
      accepted: 1,
      rejected: 1,
      errors: [error(0)],
      stoppedAt: 2,
      stoppedBy: { code: 'log_timeout' },
    }
    for (const status of [207, 503]) {
      expect(judge(answer(status, body), 5)).toMatchObject({
        is: 'answered',
        accepted: [1],
        again: [2, 3, 4],
      })
    }
  })

  it('has single events sent again that may pass', () => {
    expect(judge(answer(207, { accepted: 1, rejected: 1, errors: [error(0, true)] }), 2)).toMatchObject({
      accepted: [1],
      again: [0],
    })
  })

  it('leaves what it does not name to be asked again, where it has more errors than it names', () => {
    const body = { accepted: 1, rejected: 3, errors: [error(0), error(2, true)], errorsOmitted: 1 }
    const verdict = judge(answer(207, body), 4)
    expect(verdict).toMatchObject({ accepted: [], again: [1, 2, 3], hasMoreErrors: true })
    expect(verdict.is === 'answered' && [...verdict.rejected.keys()]).toEqual([0])
  })

  it('is not believed where it does not add up', () => {
    expect(judge(answer(202, { accepted: 3, rejected: 0, errors: [] }), 2)).toMatchObject({
      is: 'refused',
      code: 'unexpected_answer',
    })
  })

  it('says nothing of any line with 429 and 503, and when to come back', () => {
    expect(judge(answer(503, { code: 'log_busy', detail: 'full' }, 2_000), 2)).toEqual({
      is: 'unknown',
      because: 'full',
      waitMs: 2_000,
      mayHaveReached: true,
    })
    expect(judge(answer(429, undefined), 2)).toEqual({
      is: 'unknown',
      because: 'status 429',
      waitMs: undefined,
      mayHaveReached: false,
    })
  })

  it('of a proxy that takes no request so large says so', () => {
    expect(judge(answer(413, undefined), 2)).toEqual({ is: 'too large' })
  })

  it('is a refusal where trying again cannot help', () => {
    expect(judge(answer(415, { code: 'unsupported_content_type', detail: 'no' }), 2)).toMatchObject({
      is: 'refused',
      code: 'unsupported_content_type',
    })
    expect(judge(answer(404, '<html>'), 2)).toMatchObject({ is: 'refused', code: 'unexpected_answer' })
  })
})
