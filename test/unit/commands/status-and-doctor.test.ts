import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { configCommand } from '../../../src/commands/config.ts'
import { commandContext } from '../../../src/commands/context.ts'
import { checkDisk, checkNode, checkPackage } from '../../../src/commands/doctor/machine.ts'
import { doctorCommand } from '../../../src/commands/doctor.ts'
import { statusCommand } from '../../../src/commands/status.ts'
import { writeRunFile } from '../../../src/run-file.ts'
import { run } from './command-line.ts'
import { scriptedServer } from './scripted-server.ts'

let dataDir: string
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'embudo-status-'))
  // Whoever is asked here answers, however late.
  vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => new AbortController().signal)
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(dataDir, { recursive: true })
})

const parts = {
  kafka: '127.0.0.1:9092',
  registry: 'http://127.0.0.1:8081/apis/ccompat/v7',
  postgres: 'postgres://embudo:secret@127.0.0.1:5432/embudo',
  clickhouse: 'http://127.0.0.1:8123',
}
const environment = () => ({ EMBUDO_DATA_DIR: dataDir, EMBUDO_PORT: '0' })
const health = {
  status: 200,
  body: { status: 'ok', parts: { kafka: { status: 'ok' }, postgres: { status: 'down' } } },
}
/** No process can have it. */
const deadPid = 2 ** 22 + 1

describe('status', () => {
  it('says where everything is, as the configuration takes it', async () => {
    await using server = await scriptedServer(() => health)
    const pids = { up: [process.pid], kafka: [deadPid] }
    writeRunFile(dataDir, { http: server.url, ...parts, pids })
    const ran = await run(statusCommand, ['status', '--json'], { environment: environment() })
    expect(ran.status).toBe(0)
    expect(ran.json()).toEqual({ http: server.url, ...parts, pids })
  })

  it('shows a person what is well, and no password', async () => {
    await using server = await scriptedServer(() => health)
    writeRunFile(dataDir, { http: server.url, ...parts, pids: { up: [process.pid], kafka: [deadPid] } })
    const { out, status } = await run(statusCommand, ['status'], { environment: environment() })
    expect(status).toBe(0)
    expect(out).toMatch(/postgres +postgres:\/\/embudo:\*\*\*@127.0.0.1:5432\/embudo +down/)
    expect(out).toContain(`${deadPid} is gone`)
    expect(out).not.toContain('secret')
  })

  it('does not take what a killed run left behind for one that runs', async () => {
    writeRunFile(dataDir, { http: 'http://127.0.0.1:9', ...parts, pids: { up: [deadPid] } })
    const ran = await run(statusCommand, ['status'], { environment: environment() })
    expect(ran).toMatchObject({ status: 1, out: '', err: expect.stringContaining('start it with `make up`') })
  })
})

describe('the address that commands talk to', () => {
  const baseUrl = (env: Record<string, string>, given?: string) =>
    commandContext({ environment: { EMBUDO_DATA_DIR: dataDir, ...env } }).baseUrl(given)

  it('is what was given, else where it runs, else what is configured', () => {
    expect(baseUrl({ EMBUDO_PORT: '4100', EMBUDO_HOST: '0.0.0.0' })).toBe('http://127.0.0.1:4100')
    writeRunFile(dataDir, { http: 'http://127.0.0.1:4222', ...parts, pids: { up: [process.pid] } })
    expect(baseUrl({})).toBe('http://127.0.0.1:4222')
    expect(baseUrl({}, 'http://elsewhere:1/')).toBe('http://elsewhere:1')
  })
})

describe('config', () => {
  it('prints every setting, and no secret', async () => {
    const login = { SCHEMA_REGISTRY_USERNAME: 'embudo', SCHEMA_REGISTRY_PASSWORD: 'hush' }
    const env = { EMBUDO_PORT: '4100', ...login, DATABASE_URL: parts.postgres }
    const ran = await run(configCommand, ['config', '--json'], { environment: env })
    expect(ran.status).toBe(0)
    expect(ran.json().items).toContainEqual(
      expect.objectContaining({ name: 'EMBUDO_PORT', value: '4100', isDefault: false }),
    )
    expect(ran.out).not.toMatch(/hush|secret/)
  })

  it('is wrong use where a setting is wrong, after the table', async () => {
    const ran = await run(configCommand, ['config'], {
      environment: { EMBUDO_PROT: '4000', EMBUDO_PORT: 'x' },
    })
    expect(ran.status).toBe(2)
    expect(ran.out).toContain('EMBUDO_PORT')
    expect(ran.err).toMatch(/EMBUDO_PROT: no such setting/)
  })
})

describe('doctor', () => {
  it('names what keeps embudo from working, and how to mend it', async () => {
    await using taken = await scriptedServer(() => ({ status: 404, body: {} }))
    const env = {
      EMBUDO_DATA_DIR: dataDir,
      EMBUDO_PORT: new URL(taken.url).port,
      SCHEMA_REGISTRY_URL: taken.url,
      PATH: dataDir,
    }
    const ran = await run(doctorCommand, ['doctor', '--json'], { environment: env })
    expect(ran.status).toBe(1)
    const { ok, checks } = ran.json() as {
      ok: boolean
      checks: { name: string; state: string; mend?: string }[]
    }
    expect(ok).toBe(false)
    expect(checks).toContainEqual(
      expect.objectContaining({ name: 'port', state: 'fail', mend: expect.stringContaining('EMBUDO_PORT') }),
    )
    expect(checks).toContainEqual(
      expect.objectContaining({
        name: 'registry',
        state: 'fail',
        found: expect.stringContaining('status 404'),
      }),
    )
    expect(checks).toContainEqual(expect.objectContaining({ name: 'Java', state: 'fail' }))
  })

  it('asks a program that runs for projections that stand still, dead letters, and what does not add up', async () => {
    const answers: Record<string, object> = {
      '/api/projections': {
        items: [
          { name: 'events', state: 'live' },
          { name: 'lead_profile', state: 'stalled' },
        ],
      },
      '/api/dead-letters': { items: [{ id: '17' }], nextCursor: null },
      '/api/reconciliation': {
        notCounted: null,
        items: [
          { read: 10, mismatches: [{}] },
          { read: 20, mismatches: [] },
        ],
      },
    }
    await using server = await scriptedServer(({ url }) => ({
      status: 200,
      body: answers[url.split('?')[0]!] ?? {},
    }))
    const env = { EMBUDO_DATA_DIR: dataDir, EMBUDO_PORT: new URL(server.url).port, PATH: dataDir }
    const { checks } = (await run(doctorCommand, ['doctor', '--json'], { environment: env })).json() as {
      checks: { name: string; state: string; found: string; mend?: string }[]
    }
    expect(checks).toContainEqual(
      expect.objectContaining({ name: 'projections', state: 'fail', found: 'lead_profile stalled' }),
    )
    expect(checks).toContainEqual(
      expect.objectContaining({
        name: 'dead letters',
        state: 'warn',
        mend: expect.stringContaining('dead-letters list'),
      }),
    )
    expect(checks).toContainEqual(
      expect.objectContaining({
        name: 'completeness',
        state: 'fail',
        found: '1 of 2 partitions do not add up',
      }),
    )
  })

  it('says what is wrong with the settings before it looks further', async () => {
    const ran = await run(doctorCommand, ['doctor'], { environment: { EMBUDO_PORT: 'x' } })
    expect(ran.status).toBe(1)
    expect(ran.out).toMatch(/fail +configuration +EMBUDO_PORT: got "x"/)
  })

  it('looks at one thing at a time', async () => {
    expect(checkNode('20.11.0')).toMatchObject({ state: 'fail', mend: expect.stringContaining('npm ci') })
    expect(checkNode('24.9.0').state).toBe('ok')
    expect(checkPackage(dataDir, 'chdb', 'ClickHouse', true)).toMatchObject({
      state: 'fail',
      found: 'not installed',
    })
    expect(checkPackage(dataDir, 'chdb', 'ClickHouse', false).state).toBe('ok')
    expect((await checkDisk(join(dataDir, 'not', 'yet', 'there'))).found).toMatch(/GB free/)
  })
})
