import { describe, expect, it } from 'vitest'
import { parseInsertWithData } from '../../../src/embedded/clickhouse-insert.ts'

const rewritten = (sql: string) => parseInsertWithData(sql)?.fromFile('/in')

describe('an insert with data becomes one that reads a file', () => {
  it.each([
    ['INSERT INTO t FORMAT Avro', "INSERT INTO t FROM INFILE '/in' FORMAT Avro"],
    [
      'insert into d.t (a, b) format JSONEachRow\n',
      "insert into d.t (a, b) FROM INFILE '/in' format JSONEachRow",
    ],
    [
      "INSERT INTO t SETTINGS x = 'FORMAT' FORMAT CSV",
      "INSERT INTO t FROM INFILE '/in' SETTINGS x = 'FORMAT' FORMAT CSV",
    ],
    [
      'INSERT INTO `format` (`values`) FORMAT Native',
      "INSERT INTO `format` (`values`) FROM INFILE '/in' FORMAT Native",
    ],
    [
      '/* FORMAT x */ INSERT INTO format FORMAT CSV',
      "/* FORMAT x */ INSERT INTO format FROM INFILE '/in' FORMAT CSV",
    ],
    ['INSERT INTO t (a) VALUES', "INSERT INTO t (a) FROM INFILE '/in' FORMAT Values"],
    [
      "INSERT INTO t (a) SELECT a FROM input('a String, b Enum(''x)'' = 1)') WHERE (SELECT 1) <= 2 FORMAT Avro",
      "INSERT INTO t (a) SELECT a FROM file('/in', 'Avro', 'a String, b Enum(''x)'' = 1)') WHERE (SELECT 1) <= 2 ",
    ],
  ])('%s', (given, expected) => expect(rewritten(given)).toBe(expected))
})

describe('other statements are left alone', () => {
  it.each([
    'SELECT 1 FORMAT JSON',
    "INSERT INTO t VALUES (1, 'FORMAT CSV')",
    'INSERT INTO t SELECT * FROM u',
    "INSERT INTO FUNCTION file('/out') SELECT 1 FORMAT CSV",
    '-- INSERT INTO t FORMAT CSV\nSELECT 1',
    '',
  ])('%s', (given) => expect(parseInsertWithData(given)).toBeUndefined())
})

describe('data behind the statement in the same text', () => {
  it.each([
    ['INSERT INTO t FORMAT JSONEachRow {"a":1}', '{"a":1}'],
    ['INSERT INTO t FORMAT CSV\n1,2\n', '1,2\n'],
    ['INSERT INTO t FORMAT RowBinary\r\n\n\x00(', '\n\x00('],
    ['INSERT INTO t FORMAT RowBinary', ''],
  ])('%s', (given, data) => expect(given.slice(parseInsertWithData(given)?.dataOffset)).toBe(data))
})
