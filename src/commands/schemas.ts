import type { EventVersion } from '../define/catalog.ts'
import { catalogOf, topicName } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import { fieldsOf } from '../define/field.ts'
import type { TopicDefinition } from '../define/topic.ts'
import { schemaRegistry } from '../log/registry.ts'
import { checkSchemas, kindText } from '../schema/check.ts'
import { generateSchemas, readSchemaFiles } from '../schema/files.ts'
import { addressesOf, registryAuth } from './addresses.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption } from './options.ts'
import { coloursOf, printJson, printLine, printTable } from './output.ts'
import { askRegistry } from './registry-check.ts'
import { readTopics, schemasFolder } from './schemas-folder.ts'

interface Options {
  readonly json?: true
}

export const schemasCommand: AddCommand = (program, context) => {
  const schemas = program.command('schemas').description('the events, and whether their versions go together')
  schemas
    .command('check')
    .description(
      'every version against its predecessors, the generated file, and the registry where there is one',
    )
    .option('--offline', 'leave the registry out')
    .addOption(jsonOption())
    .action(async (options: Options & { offline?: true }) => await check(options, context))
  schemas
    .command('generate')
    .description('write schemas/events.generated.ts anew from the .avsc files')
    .addOption(jsonOption())
    .action(({ json }: Options) => {
      const changed = generateSchemas(schemasFolder(context), true)
      if (json) printJson(context, { changed })
      else
        printLine(
          context,
          changed ? 'schemas/events.generated.ts is written anew' : 'schemas/events.generated.ts was current',
        )
    })
  schemas
    .command('register')
    .description(
      'every version into the registry, under FULL_TRANSITIVE; `up` and `start` do it by themselves',
    )
    .addOption(jsonOption())
    .action(async (options: Options) => await register(options, context))
  schemas
    .command('show')
    .description('the fields of an event, or the list of events')
    .argument('[event]')
    .addOption(jsonOption())
    .action(async (event: string | undefined, options: Options) => await show(event, options, context))
}

/** One thing that is wrong, from whichever check. */
interface Finding {
  readonly event: string | null
  readonly version: number | null
  readonly against: number | null
  readonly field: string | null
  readonly code: string
  readonly detail: string
}

const check = async (
  { json, offline }: Options & { offline?: true },
  context: CommandContext,
): Promise<void> => {
  const versions = readSchemaFiles(schemasFolder(context))
  const topics = await readTopics(context)
  const subjects = new Map<string, string>(topics.map(({ name, subject }) => [name, subject]))
  const found: Finding[] = checkSchemas(versions, (topic) => subjects.get(topic)).map((problem) => ({
    ...problem,
    against: problem.against ?? null,
    field: problem.field ?? null,
  }))
  if (generateSchemas(schemasFolder(context), false)) found.push(outdated)
  const registry = offline ? undefined : addressesOf(context.config()).registry
  if (registry !== undefined) found.push(...(await checkRegistry(registry, versions, topics, context)))

  const events = new Set(versions.map(({ type }) => type)).size
  if (json)
    printJson(context, {
      ok: found.length === 0,
      events,
      versions: versions.length,
      registry: registry ?? null,
      problems: found,
    })
  else {
    const { green, red, bold } = coloursOf(context.isTerminal)
    for (const { event, version, against, field, detail } of found) {
      const place =
        event === null
          ? ''
          : bold(
              `${event}/${version}${field === null ? '' : `, ${field}`}${against === null ? '' : ` (against ${against})`}`,
            )
      printLine(context, `${red('wrong')}  ${place}${place === '' ? '' : ': '}${detail}`)
    }
    const where = registry === undefined ? 'no registry was asked' : `the registry at ${registry} was asked`
    if (found.length === 0)
      printLine(context, `${green('ok')}  ${events} events, ${versions.length} versions; ${where}`)
  }
  if (found.length > 0) {
    throw new EmbudoError(
      'schemas_wrong',
      `the schemas are not fit to be used: ${found.length} ${found.length === 1 ? 'problem' : 'problems'}`,
    )
  }
}

const outdated: Finding = {
  event: null,
  version: null,
  against: null,
  field: null,
  code: 'generated_outdated',
  detail: 'schemas/events.generated.ts is not what the .avsc files make; run `npx embudo schemas generate`',
}

const checkRegistry = async (
  url: string,
  versions: readonly EventVersion[],
  topics: readonly TopicDefinition[],
  context: CommandContext,
): Promise<Finding[]> => {
  const config = context.config()
  const access = { url, auth: registryAuth(config), fetch: context.fetch }
  const topicsByName = new Map<string, TopicDefinition>(topics.map((topic) => [topic.name, topic]))
  const answers = await Promise.all(
    versions.map(async (version): Promise<Finding[]> => {
      const topic = topicsByName.get(version.topic)
      if (topic === undefined) return []
      const { namespace, name } = version.schema
      const subject = `${topicName(config.EMBUDO_TOPIC_PREFIX, topic)}-${namespace}.${name}`
      const verdict = await askRegistry(access, subject, version)
      if (verdict.is !== 'incompatible') return []
      const detail = `the registry refuses it: ${verdict.messages.join('; ') || 'it does not go with what is registered, and the registry says no more'}`
      return [
        {
          event: version.type,
          version: version.version,
          against: null,
          field: null,
          code: 'registry_refuses',
          detail,
        },
      ]
    }),
  )
  return answers.flat()
}

const register = async ({ json }: Options, context: CommandContext): Promise<void> => {
  const config = context.config()
  const { registry: url } = addressesOf(config)
  if (url === undefined) {
    throw new EmbudoError(
      'not_running',
      'no registry is known: start everything with `make up`, or set SCHEMA_REGISTRY_URL',
    )
  }
  const versions = readSchemaFiles(schemasFolder(context))
  const catalog = catalogOf({ topics: (await readTopics(context)) as never, versions, upcasts: {} })
  const auth = registryAuth(config)
  const registry = schemaRegistry({ url, ...(auth === undefined ? {} : { auth }) })
  const ids = await registry.register(catalog, config.EMBUDO_TOPIC_PREFIX)
  if (json) printJson(context, { registry: url, ids: Object.fromEntries(ids) })
  else
    printLine(context, `${coloursOf(context.isTerminal).green('registered')}  ${ids.size} versions at ${url}`)
}

const show = async (event: string | undefined, { json }: Options, context: CommandContext): Promise<void> => {
  const current = [...Map.groupBy(readSchemaFiles(schemasFolder(context)), ({ type }) => type).values()].map(
    (all) => all.at(-1)!,
  )
  if (event === undefined) return listEvents(current, json === true, context)
  const version = current.find(({ type }) => type === event)
  if (version === undefined)
    throw new EmbudoError('unknown_event', `there is no event ${event}; \`embudo schemas show\` lists them`)
  const topic = (await readTopics(context)).find(({ name }) => name === version.topic)
  const fields = fieldsOf(version.schema)
  if (json) {
    const { doc } = version.schema
    return printJson(context, {
      event,
      topic: version.topic,
      subject: topic?.subject ?? null,
      version: version.version,
      doc,
      fields,
    })
  }
  const { bold, dim } = coloursOf(context.isTerminal)
  printLine(context, `${bold(event)}  ${dim(`version ${version.version}, topic ${version.topic}`)}`)
  printLine(context, version.schema.doc ?? '')
  printLine(context)
  const rows = fields.map((field) => {
    const notes = [
      ...(field.name === topic?.subject ? ['the key'] : []),
      ...(field.personal === undefined ? [] : [`personal, of ${field.personal.of}`]),
      ...(field.unit === undefined ? [] : [field.unit]),
      ...(field.minimum === undefined && field.maximum === undefined
        ? []
        : [`${field.minimum ?? ''}..${field.maximum ?? ''}`]),
      ...(field.oneOf === undefined ? [] : [field.oneOf.join(', ')]),
      ...(field.pattern === undefined ? [] : [field.pattern]),
      ...(field.doc === undefined ? [] : [field.doc]),
    ]
    return [field.name, kindText(field), dim(notes.join('; '))]
  })
  printTable(context, [{ title: 'field' }, { title: 'kind' }, { title: '' }], rows)
}

const listEvents = (current: readonly EventVersion[], asJson: boolean, context: CommandContext): void => {
  if (asJson) {
    const items = current.map(({ topic, type, version, schema }) => ({
      event: type,
      topic,
      version,
      doc: schema.doc ?? null,
    }))
    printJson(context, { items })
    return
  }
  const rows = current.map(({ topic, type, version, schema }) => [
    topic,
    type,
    String(version),
    schema.doc ?? '',
  ])
  printTable(
    context,
    [{ title: 'topic' }, { title: 'event' }, { title: 'version', align: 'right' }, { title: '' }],
    rows,
  )
}
