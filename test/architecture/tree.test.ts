import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { generateSchemas } from '../../src/schema/files.ts'
import { filesOf, root, textOf } from './imports.ts'

const sources = filesOf('{src,schemas,projections,sagas,test,bin,.ci}/**/*.{ts,mjs}')

describe('the tree', () => {
  it('has current generated files; `npx embudo schemas generate` writes them', () => {
    expect(generateSchemas(join(root, 'schemas'), false)).toBe(false)
  })

  it('has no file that is too long to hold one idea', () => {
    const lines = (file: string) => textOf(file).split('\n').length - 1
    const long = filesOf('src/**/*.{ts,sql}').filter((file) => lines(file) >= 400)
    expect(long).toEqual([])
  })

  it('names files for what they are', () => {
    const nameless = /(^|\/)(utils?|helpers?|types|common|misc|shared)(\.ts|\/)/
    expect(sources.filter((file) => nameless.test(file) && !file.startsWith('test/types/'))).toEqual([])
  })

  it('says what every dependency is for', () => {
    const { dependencies, optionalDependencies, devDependencies } = JSON.parse(textOf('package.json'))
    const said = textOf('docs/dependencies.md')
    const packages = Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies })
    expect(packages.filter((name) => !said.includes(`| \`${name}\` |`))).toEqual([])
    const lines = [...said.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1])
    expect(lines.filter((name) => !packages.includes(name!))).toEqual([])
  })

  it('knows nothing of the machine it was written on', () => {
    const own = [
      ...sources,
      ...filesOf(
        '*.{json,md,ts,yml}',
        '{docs,deploy,src}/**/*.{md,json,yml,yaml,xml,sql}',
        'Makefile',
        '.ci/run',
        'bin/*',
      ),
    ]
    const place =
      /(?:\/home\/|\/Users\/|\/root\/)\w|https?:\/\/(?:registry|repo\d*|deb|proxy|files|index)\.\w/
    expect(
      own.filter((file) => file !== 'test/architecture/tree.test.ts' && place.test(textOf(file))),
    ).toEqual([])
    // Whoever installs has a registry of their own.
    expect(textOf('package-lock.json')).not.toMatch(/"resolved": "\w+:\/\//)
  })
})
