import { describe, expect, it } from 'vitest'
import { KeptPort } from '../../../src/supervisor/kept-port.ts'

describe('a port', () => {
  it('that was free is asked for again by a process that is started again', () => {
    const port = new KeptPort(0)
    expect(port.forNext()).toBe(0)
    port.taken('http://127.0.0.1:40123')
    port.ended()
    expect(port.forNext()).toBe(40_123)
  })

  it('is free again as long as nobody has taken one', () => {
    const port = new KeptPort(0)
    port.forNext()
    port.ended()
    expect(port.forNext()).toBe(0)
  })

  it('is asked for as the siblings that live did, until none lives', () => {
    const port = new KeptPort(0)
    expect([port.forNext(), port.forNext()]).toEqual([0, 0])
    port.taken('http://[::1]:40123')
    port.ended()
    expect(port.forNext()).toBe(0)
    port.ended()
    port.ended()
    expect([port.forNext(), port.forNext()]).toEqual([40_123, 40_123])
  })

  it('is asked for by itself once a sibling came too late to share it', () => {
    const port = new KeptPort(0)
    expect([port.forNext(), port.forNext()]).toEqual([0, 0])
    expect([port.taken('http://[::1]:40123'), port.taken('http://[::1]:40123')]).toEqual([true, true])
    port.ended()
    expect(port.forNext()).toBe(0)
    port.ended()
    expect(port.taken('http://[::1]:50321')).toBe(false)
    expect(port.forNext()).toBe(40_123)
    expect(port.taken('http://[::1]:40123')).toBe(true)
  })

  it('that was named stays so', () => {
    const port = new KeptPort(4000)
    port.forNext()
    port.taken('http://127.0.0.1:4000')
    port.ended()
    expect(port.forNext()).toBe(4000)
  })
})
