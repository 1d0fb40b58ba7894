import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { InvalidArgumentError, Option } from 'commander'
import { EmbudoError, messageOf } from '../define/error.ts'
import { type Field, fieldsOf } from '../define/field.ts'
import { nearest } from '../ingest/nearest.ts'
import { uuidV7 } from '../ingest/uuid-v7.ts'
import { readSchemaFiles } from '../schema/files.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption, positiveNumber, urlOption } from './options.ts'
import { schemasFolder } from './schemas-folder.ts'
import { dryRun } from './sending/dry-run.ts'
import { filePlan, type PlannedFile } from './sending/file-plan.ts'
import { findExports } from './sending/find-exports.ts'
import type { DecimalMark } from './sending/local-number.ts'
import { isTimeZone, type LocalTimes } from './sending/local-time.ts'
import { sendFiles } from './sending/send-files.ts'
import { sourcesOf } from './sending/source-file.ts'

interface SendOptions {
  readonly format?: 'ndjson' | 'csv'
  readonly type?: string
  readonly map: ReadonlyMap<string, string>
  readonly set: ReadonlyMap<string, string>
  readonly source?: string
  readonly tz: string
  readonly dayFirst?: true
  readonly decimal?: DecimalMark
  readonly leadId: 'email' | 'contact'
  readonly saltFile?: string
  readonly newIds?: true
  readonly fromStart?: true
  readonly dryRun?: true
  readonly rejects?: string
  readonly rate?: number
  readonly giveUpAfter: number
  readonly url?: string
  readonly json?: true
}

export const sendCommand: AddCommand = (program, context) => {
  program
    .command('send')
    .description('events from files or standard input into the log')
    .argument(
      '[files...]',
      'NDJSON (one event a line) or CSV with a header, also .gz and .zst; - or nothing is standard input',
    )
    .option('--dry-run', 'show what the files are taken for and their first events; send nothing')
    .option(
      '--format <format>',
      'ndjson or csv (default: by the name of the file and its beginning)',
      formatOf,
    )
    .option('--type <event>', 'CSV of no known export: the event that each row is')
    .addOption(
      new Option(
        '--map <column=field>',
        'CSV: a column that goes into a field of another name; <column>= leaves it out',
      )
        .argParser(addPair)
        .default(new Map(), 'none'),
    )
    .addOption(
      new Option('--set <field=value>', 'CSV: a field that has the same value in every event')
        .argParser(addPair)
        .default(new Map(), 'none'),
    )
    .option(
      '--tz <zone>',
      'CSV: the zone of times that name none, for example Europe/Berlin',
      timeZone,
      'UTC',
    )
    .option('--day-first', 'CSV: 05/11/2026 is the 5th of November')
    .addOption(
      new Option(
        '--decimal <mark>',
        'CSV: which of , and . parts the decimals where a number has one of them and three digits',
      ).choices([',', '.']),
    )
    .addOption(
      new Option(
        '--lead-id <from>',
        'known exports: leadId from the mail address, or from the id of the contact',
      )
        .choices(['email', 'contact'])
        .default('email'),
    )
    .option('--salt-file <file>', 'a secret in a file that goes into all ids that are made from contents')
    .option(
      '--source <name>',
      'source of events that name none (default: that of the export, or embudo-send)',
    )
    .option('--new-ids', 'what was sent before are new events, not the same ones again')
    .option(
      '--from-start',
      'begin anew with files whose sending was begun or is done; what lies 100,000 records back counts again',
    )
    .option('--rejects <file>', 'where to write what is not accepted (default: <first file>.rejects.ndjson)')
    .option('--rate <events/s>', 'how fast to send (default: as fast as it goes)', positiveNumber)
    .option('--give-up-after <time>', 'without progress, for example 90s, 10min, 2h', span, 600_000)
    .addOption(urlOption())
    .addOption(jsonOption())
    .addHelpText('after', help)
    .action(async (files: string[], options: SendOptions) => await send(files, options, context))
}

const help = `
Known by their header row: the exports of Zoom (webinar attendees and registrations, meeting participants), HubSpot
and ActiveCampaign (contacts). An event without an id gets one that stands for what it says, so that sending the
same file, or a newer export with the same rows in it, counts nothing twice as long as the earlier sending lies
within the last 100,000 records of a partition: of what lies further back, all that is sent again counts again.
Ctrl-C stops after what is under way; the same command goes on from there. docs/sending.md tells more.`

const send = async (
  paths: readonly string[],
  options: SendOptions,
  context: CommandContext,
): Promise<void> => {
  const sources = await sourcesOf(paths, context)
  const secret = options.saltFile === undefined ? undefined : readSecret(options.saltFile)
  const fieldsOfType = fieldsByType(context)
  const times: LocalTimes = { timeZone: options.tz, dayFirst: options.dayFirst === true }
  const { map, set, source, leadId, type, decimal } = options
  const reading = { map, set, secret, leadId, times, decimal, type, fieldsOf: fieldsOfType, defaultSource }
  const exports = await findExports()
  const files: PlannedFile[] = []
  for (const each of sources) {
    const plan = await filePlan(each, { ...reading, format: options.format, exports })
    files.push({ source: each, plan })
  }
  const newId = uuidV7()
  const newIds = options.newIds === true
  const events = { ...reading, source, newId, onSkipped: () => undefined }
  if (options.dryRun === true) {
    const shown = newIds ? { ...events, seed: newId() } : events
    return await dryRun(files, shown, times, options.json === true, context)
  }
  await sendFiles(files, {
    context,
    events,
    times,
    url: options.url,
    as: fingerprint(options, secret),
    newIds,
    fromStart: options.fromStart === true,
    rejects: options.rejects,
    rate: options.rate,
    giveUpAfterMs: options.giveUpAfter,
    json: options.json === true,
  })
}

const defaultSource = 'embudo-send'

/** Of all that makes other events of the same file. */
const fingerprint = (options: SendOptions, secret: string | undefined): string => {
  const { format, type, map, set, source, tz, dayFirst, leadId, decimal } = options
  const shaping = [format, type, [...map], [...set], source, tz, dayFirst, leadId, secret]
  // Behind the others, and only where it is given: states that were kept without it go on holding.
  if (decimal !== undefined) shaping.push(decimal)
  return createHash('sha256').update(JSON.stringify(shaping)).digest('hex')
}

const fieldsByType = (context: CommandContext): ((type: string) => Field[]) => {
  const known = new Map<string, Field[]>()
  return (type) => {
    let fields = known.get(type)
    if (fields !== undefined) return fields
    const files = readSchemaFiles(schemasFolder(context))
    const current = files.findLast((version) => version.type === type)
    if (current === undefined) {
      const meant = nearest(type, new Set(files.map((version) => version.type)))
      const advice = meant === undefined ? '`embudo schemas show` lists them' : `did you mean ${meant}?`
      throw new EmbudoError('wrong_use', `there is no event ${type}; ${advice}`)
    }
    fields = fieldsOf(current.schema)
    known.set(type, fields)
    return fields
  }
}

const readSecret = (path: string): string => {
  let secret: string
  try {
    secret = readFileSync(path, 'utf8').trim()
  } catch (cause) {
    throw new EmbudoError('wrong_use', `${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
  if (secret.length >= 16) return secret
  throw new EmbudoError(
    'wrong_use',
    `${path} holds ${secret.length} characters; a secret has 16 or more: openssl rand -hex 32 > ${path}`,
  )
}

const formatOf = (text: string): 'ndjson' | 'csv' => {
  if (text === 'ndjson' || text === 'csv') return text
  throw new InvalidArgumentError('expected ndjson or csv')
}

const timeZone = (text: string): string => {
  if (isTimeZone(text)) return text
  throw new InvalidArgumentError('expected the name of a time zone, for example UTC or Europe/Berlin')
}

const span = (text: string): number => {
  const match = /^(\d+(?:\.\d+)?) ?(s|min|h)?$/.exec(text)
  const ms = Number(match?.[1]) * { s: 1_000, min: 60_000, h: 3_600_000 }[match?.[2] ?? 's']!
  if (ms > 0) return ms
  throw new InvalidArgumentError('expected a time as 90s, 10min or 2h')
}

const addPair = (text: string, pairs: ReadonlyMap<string, string>): ReadonlyMap<string, string> => {
  const at = text.lastIndexOf('=')
  if (at < 1) throw new InvalidArgumentError('expected two names with = between them')
  return new Map([...pairs, [text.slice(0, at), text.slice(at + 1)]])
}
