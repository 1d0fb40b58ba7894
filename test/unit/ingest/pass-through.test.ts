import { expect, it } from 'vitest'
import { passThrough } from '../../../src/privacy/pass-through.ts'

const tag = { of: 'leadId', group: 'contact', id: 'lead.email' }

it.each(['ada@example.com', '', 'emb1.x', 'emb0.x', 'emb0.emb1.x', 'emb1', 'EMB1.x'])(
  '%s comes back, and is never taken for sealed',
  async (text) => {
    const kept = passThrough.seal(text, tag, 'L-1')
    expect(kept.startsWith('emb1.')).toBe(false)
    expect(await passThrough.open([null, kept])).toEqual([null, text])
  },
)

it('opens nothing that somebody sealed', async () => {
  expect(await passThrough.open(['emb1.sealed'])).toEqual([null])
})
