import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { hosted, started, untilGone } from './hosted.ts'

it('Postgres waits for what is left of one that was killed', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'embudo-embedded-'))
  const first = await started(dataDir, 'postgres')
  const client = new pg.Client({ connectionString: first.addresses.databaseUrl })
  client.on('error', () => {})
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const orphan = rows[0]!.pid
  // One that stands still does not see that its postmaster has gone.
  process.kill(orphan, 'SIGSTOP')
  const killed = once(first.host, 'exit')
  for (const pid of [first.host.pid!, ...Object.values(first.pids).flat()]) process.kill(pid, 'SIGKILL')
  await killed

  const starting = hosted(dataDir, 'postgres')
  const log = join(dataDir, 'logs', 'postgres.log')
  await until('it is refused', async () =>
    (await readFile(log, 'utf8')).includes('pre-existing shared memory'),
  )
  process.kill(orphan, 'SIGKILL')
  await client.end().catch(() => {})
  const second = await starting
  expect(second.code).toBeUndefined()
  second.host.kill('SIGTERM')
  await untilGone(Object.values(second.pids).flat())
  await rm(dataDir, { recursive: true, force: true })
})
