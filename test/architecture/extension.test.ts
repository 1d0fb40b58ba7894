import { execFileSync } from 'node:child_process'
import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ProjectCopy } from '../project-copy.ts'

const event = {
  type: 'record',
  namespace: 'embudo.leads',
  name: 'demo_requested',
  doc: 'Somebody wants to see it.',
  fields: [
    { name: 'leadId', type: 'string' },
    { name: 'seats', type: ['null', 'long'], default: null },
  ],
}

const projection = `import { leads } from '../../schemas/leads/topic.ts'
import { readModel } from '../../src/define/read-model.ts'

/** Who wants to see it, and how many seats they need. */
export default readModel({
  name: 'demo_requests',
  version: 1,
  topic: leads,
  columns: { lead_id: 'text primary key', demos: 'integer not null default 0', seats: 'bigint' },
  initial: (leadId) => ({ lead_id: leadId, demos: 0 }),
  evolve: {
    demo_requested: (row, { data }) => ({ ...row, demos: row.demos + 1, seats: data.seats ?? row.seats }),
  },
})
`

/** What only the program itself does with them: it finds both, and folds. */
const fold = `import * as generated from './schemas/events.generated.ts'
import { catalogOf } from './src/define/catalog.ts'
import { loadProjections } from './src/projection/definition.ts'
import { evolveRow } from './src/projection/postgres/fold.ts'
const { events } = catalogOf(generated)
const model = (await loadProjections(process.cwd() + '/projections')).find(({ name }) => name === 'demo_requests')
const happened = [12, null].map((seats) => ({ type: 'demo_requested', subject: 'L-1', data: { leadId: 'L-1', seats } }))
const { row } = happened.reduce((known, event) => evolveRow(model, known, event), undefined)
process.stdout.write(JSON.stringify({ topic: events.get('demo_requested').topic.name, row }))
`

let copy: ProjectCopy
beforeAll(() => {
  copy = new ProjectCopy()
})
afterAll(() => copy[Symbol.dispose]())

const run = (command: string, ...input: string[]): string =>
  execFileSync(join(copy.folder, command), input, {
    cwd: copy.folder,
    encoding: 'utf8',
    env: { PATH: `${join(copy.folder, 'node_modules/.bin')}:/usr/bin:/bin` },
  })

const contents = (): Map<string, string> => {
  const files = globSync('**/*', { cwd: copy.folder, exclude: ['node_modules'] }).filter((file) =>
    statSync(join(copy.folder, file)).isFile(),
  )
  return new Map(files.map((file) => [file, readFileSync(join(copy.folder, file), 'utf8')]))
}

it('adding an event and a read model touches only schemas/ and projections/', { timeout: 300_000 }, () => {
  const before = contents()

  copy.write('schemas/leads/demo_requested/1.avsc', JSON.stringify(event, undefined, 2))
  copy.write('projections/demo_requests/projection.ts', projection)
  run('bin/embudo', 'schemas', 'generate')

  const changed = [...contents()].filter(([file, text]) => before.get(file) !== text).map(([file]) => file)
  expect(changed.toSorted()).toEqual([
    'projections/demo_requests/projection.ts',
    'schemas/events.generated.ts',
    'schemas/leads/demo_requested/1.avsc',
  ])
  run('node_modules/.bin/tsc', '--noEmit', '--pretty', 'false')
  expect(JSON.parse(run('node_modules/.bin/node', '--input-type=module', '--eval', fold))).toEqual({
    topic: 'leads',
    row: { lead_id: 'L-1', demos: 2, seats: 12 },
  })
})
