import { describe, expect, it } from 'vitest'
import { isKey, isPersonal, json, snakeCase, sqlOf } from '../../../src/define/columns.ts'

describe('columns', () => {
  it('are what SQL writes, personal ones as text', () => {
    expect(sqlOf('bigint not null default 0')).toBe('bigint not null default 0')
    expect(sqlOf('personal')).toBe('text')
    expect(sqlOf('personal not null')).toBe('text not null')
    expect(sqlOf(json())).toBe('jsonb')
    expect(sqlOf(json('not null'))).toBe('jsonb not null')
  })

  it('tell keys and personal ones apart', () => {
    expect(isKey('text primary key')).toBe(true)
    expect(isKey('text')).toBe(false)
    expect(isPersonal('personal')).toBe(true)
    expect(isPersonal('text')).toBe(false)
    expect(isPersonal(json())).toBe(false)
  })

  it('are named in snake case', () => {
    expect(snakeCase('leadId')).toBe('lead_id')
    expect(snakeCase('source')).toBe('source')
  })
})
