import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { schemasCommand } from '../../../src/commands/schemas.ts'
import { run } from './command-line.ts'
import { type Scripted, scriptedServer } from './scripted-server.ts'

const project = join(import.meta.dirname, '../../..')
let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'embudo-schemas-'))
  await cp(join(project, 'schemas'), join(root, 'schemas'), { recursive: true })
  await cp(join(project, 'package.json'), join(root, 'package.json'))
  await symlink(join(project, 'src'), join(root, 'src'))
})
afterEach(async () => await rm(root, { recursive: true }))

const leads = (event: string, version: number) => join(root, 'schemas/leads', event, `${version}.avsc`)
const second = async (event: string, change: (schema: { fields: object[] }) => void) => {
  const schema = JSON.parse(await readFile(leads(event, 1), 'utf8'))
  change(schema)
  await writeFile(leads(event, 2), JSON.stringify(schema))
}

describe('schemas check', () => {
  it('is content with the schemas of the project', async () => {
    const ran = await run(schemasCommand, ['schemas', 'check'], { root })
    expect(ran).toMatchObject({ status: 0, out: expect.stringMatching(/^ok {2}\d+ events/) })
  })

  it('names the version, the field and what is wrong, and that the generated file is behind', async () => {
    await second('webinar_attended', ({ fields }) => fields.push({ name: 'rating', type: 'long' }))
    const ran = await run(schemasCommand, ['schemas', 'check', '--json'], { root })
    expect(ran.status).toBe(1)
    const { ok, problems } = ran.json() as { ok: boolean; problems: { code: string }[] }
    expect(ok).toBe(false)
    expect(problems).toContainEqual(
      expect.objectContaining({ event: 'webinar_attended', version: 2, field: 'rating', code: 'no_default' }),
    )
    expect(problems.map(({ code }) => code)).toContain('generated_outdated')
  })

  it('is content again once a good change is generated', async () => {
    await second('webinar_attended', ({ fields }) =>
      fields.push({ name: 'rating', type: ['null', 'long'], default: null }),
    )
    expect((await run(schemasCommand, ['schemas', 'check'], { root })).status).toBe(1)
    expect((await run(schemasCommand, ['schemas', 'generate', '--json'], { root })).json()).toEqual({
      changed: true,
    })
    expect((await run(schemasCommand, ['schemas', 'check'], { root })).status).toBe(0)
  })

  it('asks the registry where there is one', async () => {
    const verdict = (url: string): Scripted =>
      url.includes('webinar_attended')
        ? { status: 200, body: { is_compatible: false, messages: ['too old'] } }
        : { status: 404, body: { error_code: 40401 } }
    await using registry = await scriptedServer(({ url }) => verdict(url))
    const environment = { SCHEMA_REGISTRY_URL: `${registry.url}/apis/ccompat/v7`, EMBUDO_DATA_DIR: root }
    const ran = await run(schemasCommand, ['schemas', 'check', '--json'], { root, environment })
    expect(ran.status).toBe(1)
    expect(ran.json().problems).toMatchObject([
      {
        event: 'webinar_attended',
        version: 1,
        code: 'registry_refuses',
        detail: expect.stringContaining('too old'),
      },
    ])
    expect(registry.received.map(({ url }) => url)).toContain(
      '/apis/ccompat/v7/compatibility/subjects/embudo.leads-embudo.leads.lead_registered/versions/latest?verbose=true',
    )
  })

  it('names a file that is no schema', async () => {
    await mkdir(join(root, 'schemas/leads/broken'))
    await writeFile(leads('broken', 1), '{')
    expect(await run(schemasCommand, ['schemas', 'check'], { root })).toMatchObject({
      status: 1,
      err: expect.stringContaining('broken/1.avsc is not JSON'),
    })
  })
})

describe('schemas show', () => {
  it('shows the fields of an event', async () => {
    const ran = await run(schemasCommand, ['schemas', 'show', 'conversion_completed'], { root })
    expect(ran.out).toMatch(/leadId +string +the key/)
    expect(ran.out).toMatch(/value +decimal\(18, 4\)/)
  })

  it('says how to find the name of an event', async () => {
    expect(await run(schemasCommand, ['schemas', 'show', 'nope'], { root })).toMatchObject({
      status: 1,
      err: expect.stringContaining('lists them'),
    })
  })
})
