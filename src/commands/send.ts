import { InvalidArgumentError, Option } from 'commander'
import { EmbudoError } from '../define/error.ts'
import { type Field, fieldsOf } from '../define/field.ts'
import { uuidV7 } from '../ingest/uuid-v7.ts'
import { readSchemaFiles } from '../schema/files.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption, positiveNumber, urlOption } from './options.ts'
import { coloursOf, count, perSecond, printJson, printLine, rate, span } from './output.ts'
import { progressBar } from './progress.ts'
import { schemasFolder } from './schemas-folder.ts'
import { batches } from './sending/batches.ts'
import { csvEvents } from './sending/csv.ts'
import { Delivery } from './sending/delivery.ts'
import { type EventLine, type IdOf, identified, idOfPlace } from './sending/event-line.ts'
import { RejectsFile } from './sending/rejects.ts'
import { type Source, sourcesOf } from './sending/source-file.ts'
import { textLines } from './sending/text-lines.ts'

interface SendOptions {
  readonly format?: 'ndjson' | 'csv'
  readonly type?: string
  readonly map: ReadonlyMap<string, string>
  readonly source: string
  readonly newIds?: true
  readonly rejects?: string
  readonly timeout: number
  readonly url?: string
  readonly json?: true
}

export const sendCommand: AddCommand = (program, context) => {
  program
    .command('send')
    .description('events from files or standard input into the log')
    .argument('[files...]', 'NDJSON (one event a line) or CSV with a header; - or nothing is standard input')
    .option('--format <format>', 'ndjson or csv (default: by the name of the file)', formatOf)
    .option('--type <event>', 'CSV: the event that each record is')
    .addOption(
      new Option(
        '--map <column=field>',
        'CSV: a column whose name is not that of its field; <column>= leaves it out',
      )
        .argParser(addMapping)
        .default(new Map(), 'none'),
    )
    .option('--source <name>', 'source of events that name none', 'embudo-send')
    .option('--new-ids', 'lines that were sent before are new events, not the same ones again')
    .option('--rejects <file>', 'where to write what is not accepted (default: <first file>.rejects.ndjson)')
    .option('--timeout <seconds>', 'give up after so long without progress', positiveNumber, 120)
    .addOption(urlOption())
    .addOption(jsonOption())
    .addHelpText('after', help)
    .action(async (files: string[], options: SendOptions) => await send(files, options, context))
}

const help = `
An event without an id gets one: from a file, an id that stands for the line, its number and the file's name, so
that sending the same file again adds nothing twice; from standard input, a new one.`

const send = async (
  files: readonly string[],
  options: SendOptions,
  context: CommandContext,
): Promise<void> => {
  const sources = await sourcesOf(files, context)
  const csvFields = sources.some((source) => isCsv(source, options))
    ? fieldsOfEvent(options.type, context)
    : []
  using rejects = new RejectsFile(
    options.rejects ?? `${sources[0]!.path === '-' ? 'stdin' : sources[0]!.path}.rejects.ndjson`,
  )
  const startedAt = context.now()
  const totalBytes = sources.reduce((sum, { bytes }) => sum + (bytes ?? Number.NaN), 0)
  const bar = progressBar(
    context,
    Number.isNaN(totalBytes)
      ? '{events} events  {rate}  {note}'
      : '{bar} {percentage}%  {events} events  {rate}  ETA {eta_formatted}  {note}',
    totalBytes || 1,
    { events: '0', rate: '-', note: '' },
  )
  let bytesRead = 0
  const show = (note = '') =>
    bar.update(bytesRead, {
      events: count(delivery.accepted),
      rate: rate(delivery.accepted, context.now() - startedAt),
      note,
    })
  const delivery = new Delivery<EventLine>({
    context,
    url: options.url,
    giveUpAfterMs: options.timeout * 1_000,
    onRejected: (line, error) => rejects.add({ ...line, ...error }),
    onRetry: (because, waitMs) => show(`${because}, again in ${span(waitMs)}`),
  })
  try {
    const lines = eventLines(sources, {
      ...options,
      fields: csvFields,
      idOf: idsFor(options),
      reject: (line) => rejects.add(line),
    })
    for await (const batch of batches(lines)) {
      await delivery.send(batch)
      bytesRead = batch.at(-1)!.bytesRead
      show()
    }
  } finally {
    bar.stop()
    if (!delivery.foundNobody)
      printSummary(delivery, rejects, context.now() - startedAt, options.json === true, context)
  }
  if (rejects.count > 0) {
    throw new EmbudoError(
      'events_rejected',
      `${rejects.count === 1 ? 'one event was' : `${count(rejects.count)} events were`} not accepted: ${rejects.path} says why`,
      {
        facts: { rejected: rejects.count, file: rejects.path },
      },
    )
  }
}

interface Reading extends SendOptions {
  readonly fields: readonly Field[]
  readonly idOf: (source: Source) => IdOf
  readonly reject: RejectsFile['add']
}

/** Every event of every source, in order; what is no event at all goes to the rejects at once. */
async function* eventLines(sources: readonly Source[], reading: Reading): AsyncGenerator<EventLine> {
  let bytesBefore = 0
  for (const source of sources) {
    const lines = isCsv(source, reading)
      ? csvEvents(source.open(), { type: reading.type!, fields: reading.fields, columns: reading.map })
      : textLines(source.open())
    const idOf = reading.idOf(source)
    for await (const { number, text: original, endByte } of lines) {
      const place = { file: source.name, number, original }
      const line = identified(original, place, { idOf, source: reading.source })
      if ('refused' in line) reading.reject({ ...place, ...line.refused })
      else yield { ...place, text: line.text, bytesRead: bytesBefore + endByte }
    }
    bytesBefore += source.bytes ?? 0
  }
}

const idsFor = ({ newIds }: SendOptions) => {
  const fresh = uuidV7()
  return ({ path }: Source): IdOf => (newIds === true || path === '-' ? fresh : idOfPlace)
}

const isCsv = ({ path }: Source, { format }: SendOptions): boolean =>
  format === undefined ? path.toLowerCase().endsWith('.csv') : format === 'csv'

const fieldsOfEvent = (type: string | undefined, context: CommandContext): Field[] => {
  if (type === undefined) {
    throw new EmbudoError(
      'wrong_use',
      'CSV says nothing of what happened: name the event with --type, for example --type webinar_attended',
    )
  }
  const current = readSchemaFiles(schemasFolder(context)).findLast((version) => version.type === type)
  if (current !== undefined) return fieldsOf(current.schema)
  throw new EmbudoError('wrong_use', `there is no event ${type}; \`embudo schemas show\` lists them`)
}

const printSummary = (
  delivery: Delivery<EventLine>,
  rejects: RejectsFile,
  ms: number,
  asJson: boolean,
  context: CommandContext,
): void => {
  const { accepted, resentUnknown, position } = delivery
  if (asJson) {
    printJson(context, {
      accepted,
      rejected: rejects.count,
      rejects: rejects.count > 0 ? rejects.path : null,
      duplicateRisk: resentUnknown,
      lastPosition: position ?? null,
      seconds: ms / 1_000,
      perSecond: Math.round(perSecond(accepted, ms)),
    })
    return
  }
  const { green, red, dim } = coloursOf(context.isTerminal)
  printLine(context, `${green('accepted')}  ${count(accepted)} events in ${span(ms)}, ${rate(accepted, ms)}`)
  if (rejects.count > 0)
    printLine(context, `${red('rejected')}  ${count(rejects.count)}, see ${rejects.path}`)
  if (resentUnknown > 0)
    printLine(context, dim(`${count(resentUnknown)} were sent again after a lost answer, with the same ids`))
}

const formatOf = (text: string): 'ndjson' | 'csv' => {
  if (text === 'ndjson' || text === 'csv') return text
  throw new InvalidArgumentError('expected ndjson or csv')
}

const addMapping = (text: string, mapped: ReadonlyMap<string, string>): ReadonlyMap<string, string> => {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('expected <column>=<field>')
  return new Map([...mapped, [text.slice(0, at), text.slice(at + 1)]])
}
