import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { projectionsCommand } from '../../../src/commands/projections.ts'
import { run } from '../../unit/commands/command-line.ts'
import { historyWorld, leadsThatAttend } from './history-world.ts'

const project = join(import.meta.dirname, '../../..')

let world: Awaited<ReturnType<typeof historyWorld>>
let root: string
beforeAll(async () => {
  world = await historyWorld(inject('parts'))
  await world.append(leadsThatAttend(30))
  await world.project()
  root = await mkdtemp(join(tmpdir(), 'embudo-check-'))
})
afterAll(async () => {
  await rm(root, { recursive: true })
  await world[Symbol.asyncDispose]()
})

const check = (args: readonly string[], given: { readonly root?: string } = {}) =>
  run(projectionsCommand, ['projections', 'check', ...args], { environment: world.environment, ...given })

/** A clone of the project in which a fold was changed. */
const cloneWith = async (change: (fold: string) => string): Promise<string> => {
  const clone = await mkdtemp(join(root, 'clone-'))
  for (const name of ['schemas', 'src', 'package.json', 'node_modules'])
    await symlink(join(project, name), join(clone, name))
  await cp(join(project, 'projections'), join(clone, 'projections'), { recursive: true })
  const file = join(clone, 'projections', 'lead_profile', 'projection.ts')
  const before = await readFile(file, 'utf8')
  const after = change(before)
  expect(after).not.toBe(before)
  await writeFile(file, after)
  return clone
}

describe('projections check', () => {
  it('is content where the code makes what is live', async () => {
    const ran = await check([])
    expect(ran.out).toContain('same    lead_profile: 0 of 30 rows differ')
    expect(ran.out).toContain('same    webinar_stats: 0 of ')
    expect([ran.status, ran.err]).toEqual([0, ''])
  })

  it('fails and names the subjects and columns where a fold was changed', async () => {
    const clone = await cloneWith((fold) =>
      fold.replace('row.webinars_attended + 1', "row.webinars_attended + (data.webinarId === 'W-2' ? 2 : 1)"),
    )
    const told = await check(['lead_profile'], { root: clone })
    expect([told.status, told.err]).toEqual([
      1,
      expect.stringContaining('other rows than are live of lead_profile'),
    ])
    expect(told.out).toContain('L-2: webinars_attended 1 -> 2')
    const ran = await check(['lead_profile', '--json'], { root: clone })
    const [found] = ran.json().items as [{ differing: number; columns: object; examples: { key: string }[] }]
    const attended = Array.from({ length: 30 }, (_, n) => `L-${n}`).filter((_, n) => n % 3 === 2)
    expect(found).toMatchObject({ differing: 10, columns: { webinars_attended: 10 } })
    expect(found.examples.map(({ key }) => key).toSorted()).toEqual(attended.toSorted())
    expect(ran.json().ok).toBe(false)
  })

  it('fails where a live row was changed by somebody', async () => {
    await world.pool.query(`update embudo.webinar_stats_1 set longest_seconds = 1 where webinar_id = 'W-1'`)
    const ran = await check(['webinar_stats', '--json'])
    expect([ran.status, ran.json()]).toEqual([1, expect.objectContaining({ ok: false })])
    expect(ran.json().items).toEqual([
      expect.objectContaining({ name: 'webinar_stats', columns: { longest_seconds: expect.any(Number) } }),
    ])
  })

  it('writes nothing: not even schemas that the registry does not have yet', async () => {
    const other = `${world.prefix}other.`
    const ran = await run(projectionsCommand, ['projections', 'check', 'lead_profile'], {
      environment: { ...world.environment, EMBUDO_TOPIC_PREFIX: other },
    })
    expect([ran.status, ran.out]).toEqual([1, expect.stringContaining('30 of 30 rows differ')])
    const registered = async (prefix: string): Promise<number> => {
      const subject = `${prefix}leads-embudo.leads.lead_registered`
      return (await fetch(`${inject('parts').registryUrl}/subjects/${subject}/versions`)).status
    }
    expect(await registered(other)).toBe(404)
    expect(await registered(world.prefix)).toBe(200)
  })

  it('knows what there is to check', async () => {
    const ran = await check(['events'])
    expect([ran.status, ran.err]).toEqual([
      2,
      expect.stringContaining('there are lead_profile, webinar_stats'),
    ])
  })
})
