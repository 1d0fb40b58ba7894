import { describe, expect, it } from 'vitest'
import { crc32c } from '../../../src/log/crc32c.ts'

describe('CRC-32C', () => {
  it('agrees with the vectors of RFC 3720 and the check value of the polynomial', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43)
    expect(crc32c(Buffer.from([...Array(32).keys()]))).toBe(0x46dd794e)
    expect(crc32c(Buffer.from([...Array(32).keys()]).reverse())).toBe(0x113fdb5c)
    expect(crc32c(Buffer.alloc(0))).toBe(0)
  })

  it('of a part is that of the part alone', () => {
    const bytes = Buffer.from('xx123456789yyy')
    expect(crc32c(bytes, 2, 11)).toBe(0xe3069283)
  })
})
