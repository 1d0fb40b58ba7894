import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findFootprints, leaveFootprint } from './footprints.ts'
import { hosted, started, untilGone } from './hosted.ts'

let dataDir = ''
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'embudo-embedded-'))
})
afterEach(async () => {
  await untilGone(await recordedPids())
  await rm(dataDir, { recursive: true, force: true })
})

const everywhere = (marks: number[]) => ({
  kafka: marks,
  registry: marks,
  postgres: marks,
  clickhouse: marks,
})

describe('the embedded parts', { timeout: 600_000 }, () => {
  it('start from nothing, stop without a trace, and come back with all data at the same addresses', async () => {
    const first = await started(dataDir)
    await leaveFootprint(first.addresses, 1)
    expect(await first.stop()).toBe(0)
    await untilGone(Object.values(first.pids).flat(), 2000)

    const second = await started(dataDir)
    expect(second.addresses).toEqual(first.addresses)
    expect(await findFootprints(second.addresses)).toEqual(everywhere([1]))
    expect(await second.stop()).toBe(0)
  })

  it('are refused to a second program, which is told who holds the data', async () => {
    const first = await started(dataDir, 'postgres')
    const second = await hosted(dataDir, 'postgres')
    expect(second.code).toBe('data_folder_held')
    expect(second.message).toContain(String(first.host.pid))
    await first.stop()
  })

  it('do not outlive a program killed with -9, and the next start finds everything acknowledged', async () => {
    const first = await started(dataDir)
    await leaveFootprint(first.addresses, 1)
    first.host.kill('SIGKILL')
    await first.ended()

    // At once: it has to wait for the old parts to end.
    const second = await started(dataDir)
    await untilGone(Object.values(first.pids).flat(), 0)
    expect(await findFootprints(second.addresses)).toEqual(everywhere([1]))
    second.host.kill('SIGKILL')
    await untilGone(Object.values(second.pids).flat())
  })

  it('recover when everything is killed with -9, again and again', async () => {
    const marks: number[] = []
    for (const mark of [1, 2, 3]) {
      const run = await started(dataDir)
      if (marks.length > 0) expect(await findFootprints(run.addresses)).toEqual(everywhere(marks))
      await leaveFootprint(run.addresses, mark)
      marks.push(mark)
      for (const pid of [run.host.pid ?? 0, ...Object.values(run.pids).flatMap(withChildren)]) kill(pid)
      await run.ended()
    }
    const last = await started(dataDir)
    expect(await findFootprints(last.addresses)).toEqual(everywhere(marks))
    await last.stop()
  })

  it('come up where the registry was killed in the middle of making its tables', async () => {
    const folder = join(dataDir, 'registry')
    await mkdir(folder)
    await writeFile(join(folder, 'making'), '')
    await writeFile(join(folder, 'registry.mv.db'), 'H:2,block:2, and no more')
    const first = await started(dataDir, 'registry')
    expect(await readdir(folder)).not.toContain('making')
    const subjects = ({ addresses }: typeof first) => `${addresses.registryUrl}/subjects`
    const headers = { 'content-type': 'application/vnd.schemaregistry.v1+json' }
    const body = JSON.stringify({ schema: '"string"' })
    const registered = await fetch(`${subjects(first)}/kept/versions`, { method: 'POST', headers, body })
    expect(registered.status).toBe(200)
    expect(await first.stop()).toBe(0)

    const second = await started(dataDir, 'registry')
    expect(await (await fetch(subjects(second))).json()).toEqual(['kept'])
    expect(await second.stop()).toBe(0)
  })

  it('are killed at the next start when their tether was killed with the program', async () => {
    const first = await started(dataDir, 'clickhouse')
    const [tether = 0, server = 0] = first.pids.clickhouse ?? []
    for (const pid of [...childrenOf(tether).filter((child) => child !== server), tether]) kill(pid)
    first.host.kill('SIGKILL')
    await first.ended()

    const second = await started(dataDir, 'clickhouse', 100)
    expect(second.pids.clickhouse).not.toContain(server)
    await untilGone([server], 0)
    await second.stop()
  })

  it('end together when one of them dies, saying which', async () => {
    const run = await started(dataDir, 'postgres,clickhouse')
    kill(run.pids.clickhouse?.[1] ?? 0)
    expect(await run.ended()).toBe(1)
    await untilGone(Object.values(run.pids).flat())
  })
})

const kill = (pid: number) => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Its parent's death has ended it.
  }
}

const withChildren = (pids: readonly number[]) => pids.flatMap((pid) => [pid, ...childrenOf(pid)])

const childrenOf = (pid: number) =>
  execFileSync('ps', ['-e', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === pid)
    .map(([child]) => child ?? 0)

async function recordedPids(): Promise<number[]> {
  const recorded = await readFile(join(dataDir, 'processes.json'), 'utf8').catch(() => '[]')
  return (JSON.parse(recorded) as { pid: number }[]).map(({ pid }) => pid)
}
