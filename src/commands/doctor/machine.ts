import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Config } from '../../config.ts'
import { requireJava, requireMaven } from '../../embedded/java.ts'
import type { CommandContext } from '../context.ts'
import { type Check, fail, failed, ok, warn } from './check.ts'

const oldestNode = 24

export const checkNode = (version: string): Check =>
  Number.parseInt(version, 10) >= oldestNode
    ? ok('Node', version)
    : fail(
        'Node',
        version,
        `embudo brings its own Node ${oldestNode}: run \`npm ci\`, then \`npx embudo\` or bin/embudo`,
      )

/** Java and Maven are for the embedded Kafka and registry alone. */
export const checkJava = async (context: CommandContext, isNeeded: boolean): Promise<Check[]> => {
  if (!isNeeded) return [ok('Java', 'not needed: Kafka and the registry are elsewhere')]
  const java = await requireJava(context.environment).then(
    (told) => ok('Java', /version "([^"]+)"/.exec(told)?.[1] ?? 'there'),
    (error: unknown) => failed('Java', error, 'install Java 17 or later'),
  )
  const maven = await requireMaven(context.environment).then(
    () => ok('Maven', 'there'),
    (error: unknown) => failed('Maven', error, 'install Maven'),
  )
  return [java, maven]
}

export const checkMake = async ({ environment }: CommandContext): Promise<Check> => {
  try {
    const { stdout } = await promisify(execFile)('make', ['--version'], { env: { ...environment } })
    return ok('make', /\d+(\.\d+)+/.exec(stdout)?.[0] ?? 'there')
  } catch {
    return warn(
      'make',
      'not on the PATH',
      'Debian and Ubuntu: apt install make; macOS: xcode-select --install; or use `npx embudo up`',
    )
  }
}

const gigabyte = 2 ** 30

export const checkDisk = async (dataDir: string): Promise<Check> => {
  let folder = dataDir
  while (!existsSync(folder)) folder = dirname(folder)
  const { bavail, bsize } = await statfs(folder)
  const gigabytes = (bavail * bsize) / gigabyte
  const found = `${gigabytes.toFixed(1)} GB free at ${dataDir}`
  const mend = 'the log is kept for ever: make room, or set EMBUDO_DATA_DIR to a larger disk'
  if (gigabytes < 1) return fail('disk', found, mend)
  return gigabytes < 5 ? warn('disk', found, mend) : ok('disk', found)
}

/** `isServing`: embudo itself answers there. */
export const checkPort = async (
  { EMBUDO_HOST: host, EMBUDO_PORT: port }: Config,
  isServing: boolean,
): Promise<Check> => {
  const address = `${host}:${port}`
  if (port === 0) return ok('port', 'a free one is taken')
  if (isServing) return ok('port', `embudo answers at ${address}`)
  const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    const server = createServer()
    server.once('error', resolve)
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
  if (error === undefined) return ok('port', `${address} is free`)
  return fail(
    'port',
    `${address}: ${error.code ?? error.message}`,
    `end what listens there (ss -ltnp or lsof -i :${port} shows it), or set EMBUDO_PORT`,
  )
}

export const checkPackage = (root: string, name: string, purpose: string, isNeeded: boolean): Check => {
  if (!isNeeded) return ok(name, `not needed: ${purpose} is elsewhere`)
  const file = join(root, 'node_modules', name, 'package.json')
  if (!existsSync(file)) {
    return fail(
      name,
      'not installed',
      `it is the embedded ${purpose}: run \`npm ci\` without --omit=optional, or configure one of your own`,
    )
  }
  return ok(name, (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version)
}
