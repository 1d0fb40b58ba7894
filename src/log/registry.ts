import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import { type Catalog, type EventVersion, topicName } from '../define/catalog.ts'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { AvroRecord } from '../define/field.ts'

/** Confluent's interface to a registry of schemas; subject `<topic>-<record full name>`. */
export interface Registry {
  /**
   * Every version of every event, registered in order under FULL_TRANSITIVE; ids by `<event>/<version>`.
   * Throws `schema_incompatible` where the registry refuses one, `registry_unavailable` where it cannot be reached.
   */
  register(catalog: Catalog, prefix: string): Promise<Map<string, number>>
  fetch(schemaId: number): Promise<AvroRecord>
  ping(): Promise<void>
}

export interface RegistryOptions {
  readonly url: string
  readonly auth?: { readonly username: string; readonly password: string }
}

export const schemaRegistry = ({ url, auth }: RegistryOptions): Registry => {
  const client = new SchemaRegistry({
    host: url,
    retry: { retries: 5, initialRetryTimeInSecs: 0.1, maxRetryTimeInSecs: 2 },
    ...(auth === undefined ? {} : { auth }),
  })

  const register = async (version: EventVersion, subject: string): Promise<number> => {
    try {
      const { id } = await client.register(
        { type: SchemaType.AVRO, schema: JSON.stringify(version.schema) },
        { subject, compatibility: COMPATIBILITY.FULL_TRANSITIVE },
      )
      return id
    } catch (cause) {
      throw registryError(cause, `${version.type}/${version.version}`, url)
    }
  }

  return {
    async register(catalog, prefix) {
      const ids = new Map<string, number>()
      await Promise.all(
        [...catalog.events.values()].map(async (event) => {
          const { namespace, name } = event.current.schema
          const subject = `${topicName(prefix, event.topic)}-${namespace}.${name}`
          for (const version of event.versions) {
            ids.set(`${event.type}/${version.version}`, await register(version, subject))
          }
        }),
      )
      return ids
    },

    async fetch(schemaId) {
      try {
        const response = await fetch(
          new URL(`schemas/ids/${schemaId}`, url.endsWith('/') ? url : `${url}/`),
          headers(auth),
        )
        if (!response.ok) throw new Error(`status ${response.status}`)
        const { schema } = (await response.json()) as { schema: string }
        return JSON.parse(schema) as AvroRecord
      } catch (cause) {
        throw registryError(cause, `schema ${schemaId}`, url)
      }
    },

    async ping() {
      const response = await fetch(new URL('subjects', url.endsWith('/') ? url : `${url}/`), headers(auth))
      if (!response.ok)
        throw new EmbudoError('registry_unavailable', `${url} answered ${response.status}`, {
          retriable: true,
        })
    },
  }
}

const headers = (auth: RegistryOptions['auth']): RequestInit => ({
  signal: AbortSignal.timeout(5_000),
  ...(auth === undefined
    ? {}
    : {
        headers: {
          authorization: `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`,
        },
      }),
})

const registryError = (cause: unknown, what: string, url: string): EmbudoError => {
  const text = messageOf(cause)
  return /incompatib|compatibility/i.test(text)
    ? new EmbudoError(
        'schema_incompatible',
        `the registry refuses ${what}: ${text}. Give every new field a default, change no type; see docs/schemas.md`,
        { cause },
      )
    : new EmbudoError('registry_unavailable', `no answer from the registry at ${url} for ${what}: ${text}`, {
        cause,
        retriable: true,
      })
}
