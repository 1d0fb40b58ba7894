import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import type { Corrections } from '../dead-letter/correction.ts'
import { noCorrections, readCorrections } from '../dead-letter/corrections.ts'
import { type Catalog, catalogOf, type GeneratedSchemas } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import { Codec } from '../log/codec.ts'
import type { Log } from '../log/port.ts'
import { schemaRegistry } from '../log/registry.ts'
import { loadProjections, type Projection } from '../projection/definition.ts'
import { addressesOf, registryAuth } from './addresses.ts'
import type { CommandContext } from './context.ts'
import { openLog } from './open-log.ts'

/** The log's history and the code that reads it, for commands that need no running program. Nothing is registered. */
export interface OpenHistory extends AsyncDisposable {
  readonly log: Log
  readonly catalog: Catalog
  readonly codec: Codec
  readonly prefix: string
  readonly projections: readonly Projection[]
  /** Every decision about a dead letter up to now. */
  readonly corrections: () => Promise<Corrections>
}

/** Throws `not_running` where there are no parts to ask. */
export const openHistory = async (context: CommandContext): Promise<OpenHistory> => {
  const config = context.config()
  const prefix = config.EMBUDO_TOPIC_PREFIX
  const { registry: url } = addressesOf(config)
  if (url === undefined) throw notKnown('schema registry', 'SCHEMA_REGISTRY_URL', config.dataDir)
  const auth = registryAuth(config)
  const registry = schemaRegistry({ url, ...(auth === undefined ? {} : { auth }) })
  const catalog = catalogOf(await generatedSchemas(context.root))
  await using opening = new AsyncDisposableStack()
  const log = opening.use(await openLog(config))
  const [ids, projections] = await Promise.all([
    registry.known(catalog, prefix),
    loadProjections(join(context.root, 'projections')),
  ])
  const codec = new Codec(catalog, withUnknown(ids, catalog), registry.fetch)
  const following = opening.use(new AsyncDisposableStack())
  const opened = opening.move()
  const topic = catalog.topics.find(({ name }) => name === 'corrections')!
  return {
    ...{ log, catalog, codec, prefix, projections },
    async corrections() {
      try {
        return following.use(
          await readCorrections({ log, codec, prefix, topic, logger: { warn() {}, error() {} } }),
        )
      } catch (error) {
        // The program makes the topic when it first starts: before that nothing was decided.
        if (error instanceof EmbudoError && error.code === 'topic_unknown') return noCorrections
        throw error
      }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** Throws `not_running` where there is no Postgres to ask. */
export const openPostgres = (context: CommandContext): pg.Pool & AsyncDisposable => {
  const config = context.config()
  const { postgres } = addressesOf(config)
  if (postgres === undefined) throw notKnown('Postgres', 'DATABASE_URL', config.dataDir)
  const pool = new pg.Pool({
    connectionString: postgres,
    max: 4,
    application_name: 'embudo-cli',
    options: '-c timezone=UTC',
    connectionTimeoutMillis: 10_000,
  })
  pool.on('error', () => {})
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.end() })
}

const notKnown = (what: string, setting: string, dataDir: string): EmbudoError =>
  new EmbudoError(
    'not_running',
    `no ${what} is known: start everything with \`make up\`, or set ${setting} (nothing runs on ${dataDir})`,
    { retriable: true },
  )

const generatedSchemas = async (root: string): Promise<GeneratedSchemas> =>
  (await import(
    pathToFileURL(join(root, 'schemas', 'events.generated.ts')).href
  )) as unknown as GeneratedSchemas

/** A version that was never registered has written nothing: any id that no record has will do. */
const withUnknown = (ids: ReadonlyMap<string, number>, catalog: Catalog): ReadonlyMap<string, number> => {
  let unused = -1
  return new Map(
    [...catalog.events.values()].flatMap(({ type, versions }) =>
      versions.map(({ version }) => {
        const name = `${type}/${version}`
        return [name, ids.get(name) ?? --unused] as const
      }),
    ),
  )
}
