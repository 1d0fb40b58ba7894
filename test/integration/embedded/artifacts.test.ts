import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fetchArtifacts } from '../../../src/embedded/artifacts.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embudo-artifacts-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const fetchInto = (cache: string) =>
  fetchArtifacts('registry', { cacheDir: join(folder, cache), environment: env, progress: () => {} })

describe('what is downloaded once', () => {
  it('is whole when two programs fetch it at once, and nothing unfinished stays', async () => {
    const [one, other] = await Promise.all([fetchInto('shared'), fetchInto('shared')])
    expect(one).toBe(other)
    expect((await readdir(join(one, 'lib'))).length).toBeGreaterThan(300)
    expect(await readdir(join(folder, 'shared'))).toHaveLength(1)
  })

  it('is fetched again for another cache, and after the cache was deleted', async () => {
    for (const cache of ['first', 'second', 'first']) {
      expect(await readdir(await fetchInto(cache))).toContain('lib')
      await rm(join(folder, cache), { recursive: true })
    }
  })
})
