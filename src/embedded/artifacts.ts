import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { access, copyFile, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { EmbudoError, messageOf } from '../define/error.ts'
import { type Environment, requireMaven } from './java.ts'

const artifacts = {
  kafka: { goal: 'copy-dependencies', download: 'downloading Kafka (54 MB, once)' },
  registry: { goal: 'unpack-dependencies', download: 'downloading the schema registry (142 MB, once)' },
} as const

/**
 * The folder that holds a Java part's jars, fetched with Maven by the pom.xml beside this file when it is not
 * there yet. The folder's name carries the pom's hash, so another version is another folder. It appears by one
 * rename of a finished download: a start that was killed or that ran beside another one leaves no half of it.
 */
export async function fetchArtifacts(
  part: keyof typeof artifacts,
  options: {
    cacheDir: string
    environment: Environment
    progress: (what: string) => void
    signal?: AbortSignal | undefined
  },
): Promise<string> {
  const pom = join(import.meta.dirname, `${part}.pom.xml`)
  const hash = createHash('sha256')
    .update(await readFile(pom))
    .digest('hex')
  const folder = join(options.cacheDir, `${part}-${hash.slice(0, 12)}`)
  if (await exists(folder)) return folder

  await requireMaven(options.environment)
  options.progress(artifacts[part].download)
  const work = join(options.cacheDir, `.${part}-${randomUUID()}`)
  const unfinished = join(work, 'files')
  // Maven notes beside the pom what it has unpacked, and would not unpack it a second time.
  const pomCopy = join(work, 'pom.xml')
  await mkdir(work, { recursive: true })
  await copyFile(pom, pomCopy)
  const args = [
    '-q',
    '-B',
    '-f',
    pomCopy,
    `dependency:${artifacts[part].goal}`,
    `-DoutputDirectory=${unfinished}`,
  ]
  try {
    await promisify(execFile)('mvn', args, { env: { ...options.environment }, signal: options.signal })
    await rename(unfinished, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error
    })
    return folder
  } catch (error) {
    options.signal?.throwIfAborted()
    throw new EmbudoError(
      'download_failed',
      `Maven could not fetch ${part}. Check the connection and Maven's settings (~/.m2/settings.xml), then start again. ${whatWasSaid(error)}`,
      { facts: { part, pom }, retriable: true, cause: error },
    )
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

function whatWasSaid(error: unknown): string {
  const output = error instanceof Error && 'stdout' in error ? String(error.stdout).trim() : ''
  return (output || messageOf(error)).slice(-1500)
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
