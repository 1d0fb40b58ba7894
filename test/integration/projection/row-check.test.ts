import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { isDecimal, isInstant, isWhole } from '../../../src/projection/postgres/stored-texts.ts'

let pool: Pool
beforeAll(() => {
  pool = new Pool({ connectionString: inject('parts').databaseUrl, max: 1 })
})
afterAll(() => pool.end())

const usual = '2026-11-20T10:00:00.000Z'
/** The usual one with another digit in each place. */
const digits = [...usual].flatMap((digit, at) =>
  /\d/.test(digit) ? ['0', '3', '9'].map((put) => usual.slice(0, at) + put + usual.slice(at + 1)) : [],
)
const days = ['2024-02-29', '2026-02-29', '2000-02-29', '1900-02-29', '2026-04-31', '2026-12-31']
const instants = [
  ...digits,
  ...days.map((day) => `${day}T23:59:59.999Z`),
  ...['2026-11-20', '2026-11-20 10:00', '2026-11-20T10:00:00+01:00', '2026-11-20T10:00:00.123456-0330'],
  ...['2026-11-20T10:00:00+16:00', '2026-11-20T25:00:00Z', '2026-13-45T99:99:99.999Z'],
  ...['0000-01-01T00:00:00.000Z', '2026-11-20T10:00:60.000Z', '2026-11-20T10:00:61.000Z'],
  ...['', 'not a time', '2026-11-20T10:00:00.000'],
]
const decimals = [
  '0',
  '-1',
  '49.00',
  '.5',
  '5.',
  '+3',
  '1e3',
  '1e-400',
  '',
  '-',
  '.',
  '4,5',
  '1.2.3',
  'NaN',
  'x',
]
const wholes = [
  '0',
  '-7',
  '9223372036854775807',
  '9223372036854775808',
  '-9223372036854775808',
  '1.5',
  '',
  'x',
]

describe('what a column can hold is known without Postgres as Postgres knows it', () => {
  it.each([
    { type: 'timestamptz', accepts: isInstant, texts: instants },
    { type: 'numeric', accepts: isDecimal, texts: decimals },
    { type: 'bigint', accepts: isWhole, texts: wholes },
  ])('in a $type', async ({ type, accepts, texts }) => {
    const { rows } = await pool.query<{ text: string }>(
      'select text from unnest($1::text[]) with ordinality as t (text, at) where pg_input_is_valid(text, $2) order by at',
      [texts, type],
    )
    expect(texts.filter(accepts)).toEqual(rows.map(({ text }) => text))
    expect(rows.length).toBeGreaterThan(3)
    expect(rows.length).toBeLessThan(texts.length)
  })
})
