import { EmbudoError } from './error.ts'
import { type AvroRecord, type Field, fieldsOf } from './field.ts'
import type { TopicDefinition } from './topic.ts'

/** One `.avsc` file. Versions are immutable; the highest is current; old ones stay readable for ever. */
export interface EventVersion {
  readonly topic: string
  readonly type: string
  readonly version: number
  readonly schema: AvroRecord
}

/** From the data of version n, as its writer wrote it, to the data of version n+1. Pure. */
export type Upcast = (data: Readonly<Record<string, unknown>>) => Record<string, unknown>

export interface EventDefinition {
  readonly type: string
  readonly topic: TopicDefinition
  /** Ascending, from 1 without a gap. */
  readonly versions: readonly EventVersion[]
  readonly current: EventVersion
  readonly fields: readonly Field[]
  /** By the version that they start from; where there is none, Avro's own resolution serves. */
  readonly upcasts: ReadonlyMap<number, Upcast>
}

/** Everything that can happen. Event types are unique over all topics. */
export interface Catalog {
  readonly topics: readonly TopicDefinition[]
  readonly events: ReadonlyMap<string, EventDefinition>
}

export interface GeneratedSchemas {
  readonly topics: readonly TopicDefinition[]
  readonly versions: readonly EventVersion[]
  /** `lead_registered/1` -> the upcast from version 1 to 2. */
  readonly upcasts: Readonly<Record<string, Upcast>>
}

export const catalogOf = (generated: GeneratedSchemas): Catalog => {
  const { topics } = generated
  const byType = Map.groupBy(generated.versions, (version) => version.type)
  const events = [...byType].map(([type, unsorted]): [string, EventDefinition] => {
    const versions = unsorted.toSorted((a, b) => a.version - b.version)
    const current = versions.at(-1)!
    const topic = topics.find((candidate) => candidate.name === current.topic)
    if (topic === undefined || versions.some((version) => version.topic !== current.topic)) {
      throw new EmbudoError(
        'schema_topic',
        `${type} must lie in the folder of exactly one topic that has a topic.ts`,
      )
    }
    if (versions.some((version, index) => version.version !== index + 1)) {
      throw new EmbudoError(
        'schema_versions',
        `the versions of ${type} must be 1.avsc, 2.avsc, ... without a gap`,
      )
    }
    const fields = fieldsOf(current.schema)
    if (
      !fields.some((field) => field.name === topic.subject && field.kind.is === 'string' && !field.nullable)
    ) {
      throw new EmbudoError(
        'schema_subject',
        `${type} needs the text field ${topic.subject}, the key of ${topic.name}`,
      )
    }
    const upcasts = new Map(
      versions.flatMap(({ version }) => {
        const upcast = generated.upcasts[`${type}/${version}`]
        return upcast === undefined ? [] : [[version, upcast] as const]
      }),
    )
    return [type, { type, topic, versions, current, fields, upcasts }]
  })
  return { topics, events: new Map(events) }
}

/** What others may send: without the events that are embudo's own. */
export const sendable = ({ topics, events }: Catalog): Catalog => ({
  topics: topics.filter((topic) => topic.isInternal !== true),
  events: new Map([...events].filter(([, { topic }]) => topic.isInternal !== true)),
})

/** The name that the broker knows, for example `embudo.leads`. */
export const topicName = (prefix: string, topic: { readonly name: string }): string =>
  `${prefix}${topic.name}`
