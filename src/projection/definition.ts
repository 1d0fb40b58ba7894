import { globSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Catalog, sendable, topicName } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { EventTablesDefinition } from '../define/event-tables.ts'
import type { ReadModelDefinition } from '../define/read-model.ts'
import type { TallyDefinition } from '../define/tally.ts'

export type PostgresProjection = ReadModelDefinition | TallyDefinition
export type Projection = PostgresProjection | EventTablesDefinition

export const isInPostgres = (projection: Projection): projection is PostgresProjection =>
  projection.kind !== 'event tables'

/** The default export of every `<folder>/<name>/projection.ts`: adding a projection is adding a folder. */
export const loadProjections = async (folder: string): Promise<Projection[]> => {
  const files = globSync('*/projection.ts', { cwd: folder }).toSorted()
  return await Promise.all(
    files.map(async (file) => {
      const module = (await import(pathToFileURL(join(folder, file)).href)) as { default?: Projection }
      const name = file.split('/')[0]
      const projection = module.default
      if (projection === undefined || projection.name !== name) {
        throw new EmbudoError(
          'projection_name',
          `projections/${file} must export by default a projection that is named ${name} like its folder`,
        )
      }
      return projection
    }),
  )
}

/** The broker's names of the topics that it reads: event tables read all that others send to. */
export const topicsOf = (projection: Projection, catalog: Catalog, prefix: string): string[] =>
  (projection.kind === 'event tables' ? sendable(catalog).topics : [projection.topic]).map((topic) =>
    topicName(prefix, topic),
  )
