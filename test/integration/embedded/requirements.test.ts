import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EmbudoError } from '../../../src/define/error.ts'
import { startEmbedded } from '../../../src/embedded/start.ts'

let dataDir = ''
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'embudo-embedded-'))
})
afterEach(() => rm(dataDir, { recursive: true, force: true }))

describe('what a start needs is said by name, with the remedy', () => {
  it('no java', async () => {
    const error = await refusal({ environment: { PATH: '' } })
    expect(error.code).toBe('java_missing')
    expect(error.message).toMatch(/Java 17 or later.*apt install/)
  })

  it('a java that is too old', async () => {
    const PATH = await folderWith('java', 'echo \'openjdk version "11.0.2"\' >&2')
    const error = await refusal({ environment: { PATH } })
    expect(error.code).toBe('java_too_old')
    expect(error.facts).toMatchObject({ found: 11, needed: 17 })
  })

  it('no mvn where something has to be fetched', async () => {
    const PATH = await folderWith('java', 'echo \'openjdk version "21.0.2"\' >&2')
    const error = await refusal({ environment: { PATH }, cacheDir: join(dataDir, 'cache') })
    expect(error.code).toBe('mvn_missing')
  })

  it('a configured port that is taken', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    const error = await refusal({ ports: { kafka: port } })
    server.close()
    expect(error.code).toBe('port_taken')
    expect(error.message).toContain(`Port ${port}`)
  })

  it('and the data folder is free again afterwards', async () => {
    await refusal({ environment: { PATH: '' } })
    await using parts = await startEmbedded({ dataDir, parts: new Set(['clickhouse']), environment: env })
    expect(parts.addresses.clickhouseUrl).toMatch(/^http:/)
  })
})

async function refusal(options: Partial<Parameters<typeof startEmbedded>[0]>): Promise<EmbudoError> {
  return startEmbedded({ dataDir, parts: new Set(['kafka']), ...options }).then(
    () => expect.fail('it started'),
    (error: EmbudoError) => error,
  )
}

async function folderWith(program: string, script: string): Promise<string> {
  const folder = join(dataDir, 'bin')
  await mkdir(folder)
  await writeFile(join(folder, program), `#!/bin/sh\n${script}\n`)
  await chmod(join(folder, program), 0o755)
  return folder
}
