import { describe, expect, it } from 'vitest'
import { filesOf, findCycle, importsOf, scanImports, textOf } from './imports.ts'
import { violations } from './rules.ts'

const files = filesOf('{src,schemas,projections,sagas}/**/*.ts')
const imports = files.flatMap(importsOf)

describe('who may know whom', () => {
  it('is kept by every import', () => {
    expect(imports.length).toBeGreaterThan(100)
    expect(violations(imports)).toEqual([])
  })

  it('is free of circles, types included', () => {
    const own = imports.filter(({ to }) => files.includes(to))
    expect(findCycle(own)?.join('\n-> ')).toBeUndefined()
  })

  it('reads the environment in one place', () => {
    // The parents of processes hand their environment on.
    const readers = files.filter((file) =>
      /\bprocess\.env\b|\benv\b.* from 'node:process'/.test(textOf(file)),
    )
    expect(readers.filter((file) => file !== 'src/config.ts' && !file.startsWith('src/embedded/'))).toEqual(
      [],
    )
  })

  it('resolves every import to a file that is there', () => {
    const missing = imports.filter(
      ({ to }) => /^(src|schemas|projections|sagas)\//.test(to) && !files.includes(to),
    )
    expect(missing).toEqual([])
  })
})

describe('the rules themselves', () => {
  it.each([
    ['a projection that knows a client', 'projections/a/projection.ts', 'pg'],
    ['a saga that looks at the clock', 'sagas/a/saga.ts', 'node:timers'],
    ['a projection that knows a capability', 'projections/a/projection.ts', 'src/log/port.ts'],
    ['a vocabulary that knows the project', 'src/define/event.ts', 'src/log/port.ts'],
    ['a capability that knows the Kafka client', 'src/saga/saga.ts', 'kafkajs'],
    ['a capability that looks inside the log', 'src/saga/saga.ts', 'src/log/producer.ts'],
    ['a capability that looks inside another', 'src/query/rows.ts', 'src/saga/store.ts'],
    ['somebody who imports the app', 'src/http/server.ts', 'src/app.ts'],
    ['an area that nobody thought about', 'src/brand-new/a.ts', 'src/log/port.ts'],
  ])('refuse %s', (_, from, to) => {
    expect(violations([{ from, to }])).toHaveLength(1)
  })

  it('find a circle', () => {
    const edges = [
      { from: 'a', to: 'b' },
      { from: 'b', to: 'c' },
      { from: 'c', to: 'b' },
    ]
    expect(findCycle(edges)).toEqual(['b', 'c', 'b'])
    expect(findCycle(edges.slice(0, 2))).toBeUndefined()
  })

  it('see every form of import', () => {
    const source = [
      "import a from 'one'",
      "import type { b } from 'two'",
      "import {\n  c,\n  type d,\n} from 'three'",
      "import 'four'",
      "export * from 'five'",
      "export { e } from 'six'",
      "const f = await import('seven')",
      "  'import g from no',",
      "export const h = 1 // from 'no'",
    ]
    expect(scanImports(source.join('\n')).toSorted()).toEqual([
      'five',
      'four',
      'one',
      'seven',
      'six',
      'three',
      'two',
    ])
  })
})
