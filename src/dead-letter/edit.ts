import { type Catalog, type EventDefinition, topicName } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { Codec } from '../log/codec.ts'
import type { Edit } from './decide.ts'
import type { WholeLetter } from './list.ts'

/** Stands for a personal field wherever people look at dead letters; sent back, it leaves the field as it is. */
const hidden = '[personal]'

export interface EditParts {
  readonly codec: Codec
  readonly catalog: Catalog
  /** Of the topics' names. */
  readonly prefix: string
  /** As for an event that comes in: personal texts of the answer are sealed. */
  readonly validate: (event: {
    readonly type: string
    readonly data: unknown
  }) =>
    | { readonly data: Readonly<Record<string, unknown>>; readonly subject: string }
    | { readonly refused: { readonly code: string; readonly detail: string; readonly field: string } }
}

/**
 * The bytes that stand in the place of a parked record's: of the same topic and subject, in the current schema. Throws
 * with `field` what is wrong with the data, and `subject_mismatch`.
 */
export const encodeEdit = async (
  letter: WholeLetter,
  edit: Edit,
  { codec, catalog, prefix, validate }: EditParts,
): Promise<Buffer> => {
  const type = edit.type ?? letter.type ?? letter.headers.ce_type
  const event = type === undefined ? undefined : catalog.events.get(type)
  if (event === undefined || topicName(prefix, event.topic) !== letter.topic) {
    throw invalid(
      'unknown_event_type',
      '/type',
      `expected an event type of ${letter.topic}, got ${type ?? 'none'}`,
    )
  }
  const valid = validate({ type: event.type, data: edit.data })
  if ('refused' in valid) throw invalid(valid.refused.code, valid.refused.field, valid.refused.detail)
  if (valid.subject !== (letter.key?.toString('utf8') ?? '')) {
    const { subject } = event.topic
    throw invalid(
      'subject_mismatch',
      `/data/${subject}`,
      `expected the ${subject} of the record: it is its key`,
    )
  }
  return codec.encode(event.type, { ...valid.data, ...(await kept(letter, event, edit, codec)) })
}

/** What a letter's bytes say, without what is personal; null where they cannot be read. */
export const shownData = async (
  { value }: Pick<WholeLetter, 'value'>,
  codec: Codec,
): Promise<Readonly<Record<string, unknown>> | null> => {
  const found = await decoded(value, codec)
  if (found === undefined) return null
  const { event, data } = found
  const personal = new Set(personalFields(event))
  return Object.fromEntries(
    Object.entries(data).map(([name, inner]) => [
      name,
      personal.has(name) && inner !== null ? hidden : inner,
    ]),
  )
}

/** The personal fields that the edit leaves as they are, sealed as the record has them. */
const kept = async (
  { value }: WholeLetter,
  event: EventDefinition,
  edit: Edit,
  codec: Codec,
): Promise<Record<string, unknown>> => {
  const names = personalFields(event).filter((name) => edit.data[name] === hidden)
  if (names.length === 0) return {}
  const found = await decoded(value, codec)
  if (found === undefined || found.event.type !== event.type) {
    throw invalid(
      'wrong_type',
      `/data/${names[0]}`,
      `expected text: the record cannot be read, so ${hidden} stands for nothing`,
    )
  }
  return Object.fromEntries(names.map((name) => [name, found.data[name] ?? null]))
}

const personalFields = (event: EventDefinition): string[] =>
  event.fields.filter((field) => field.personal !== undefined).map((field) => field.name)

const decoded = async (
  value: Buffer | null,
  codec: Codec,
): Promise<{ event: EventDefinition; data: Record<string, unknown> } | undefined> => {
  if (value === null) return undefined
  try {
    const { event } = codec.writerOf(value) ?? (await codec.learn(value))
    return { event, data: codec.data(value) }
  } catch {
    // Bytes that nothing can be made of are a reason to be here.
    return undefined
  }
}

const invalid = (code: string, field: string, detail: string): EmbudoError =>
  new EmbudoError(code, detail, { facts: { field, invalid: true } })
