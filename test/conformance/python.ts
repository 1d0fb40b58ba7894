import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { promisify } from 'node:util'
import { readConfig } from '../../src/config.ts'

const run = promisify(execFile)

/** Its version, where the machine has a Python that can make environments, and one that the packages run on. */
export const pythonVersion = async (): Promise<string | undefined> => {
  const ask = 'import sys, venv, ensurepip; assert sys.version_info >= (3, 10); print(sys.version)'
  return await run('python3', ['-c', ask]).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  )
}

/**
 * The Python of an environment with what a requirements.txt names. It stays in the cache folder under the hash of that
 * file, and appears there by one rename: a run that was killed, or that runs beside another, leaves no half of it.
 */
export const pythonWithPackages = async (
  version: string,
  requirements = join(import.meta.dirname, 'requirements.txt'),
): Promise<string> => {
  const hash = createHash('sha256')
    .update(version)
    .update(await readFile(requirements))
  const folder = join(cacheDir(), `python-${hash.digest('hex').slice(0, 12)}`)
  const python = (of: string) => join(of, 'bin', 'python')
  if (await exists(folder)) return python(folder)
  const work = join(cacheDir(), `.python-${randomUUID()}`)
  await mkdir(cacheDir(), { recursive: true })
  try {
    await run('python3', ['-m', 'venv', work])
    const quietly = ['--quiet', '--disable-pip-version-check', '--no-input']
    await run(python(work), ['-m', 'pip', 'install', ...quietly, '--no-deps', '-r', requirements])
    await rename(work, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return python(folder)
}

/** Where the program itself keeps what it has fetched. */
const cacheDir = (): string => {
  const { EMBUDO_CACHE_DIR = '', XDG_CACHE_HOME } = env
  return (
    readConfig({ EMBUDO_CACHE_DIR }).EMBUDO_CACHE_DIR ??
    join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'embudo')
  )
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
