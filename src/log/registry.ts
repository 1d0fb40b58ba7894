import { setTimeout as delay } from 'node:timers/promises'
import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import { type Catalog, type EventDefinition, type EventVersion, topicName } from '../define/catalog.ts'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { AvroRecord } from '../define/field.ts'
import { patiently } from '../define/patiently.ts'

/** Confluent's interface to a registry of schemas; subject `<topic>-<record full name>`. */
export interface Registry {
  /**
   * Every version of every event, registered in order under FULL_TRANSITIVE; ids by `<event>/<version>`.
   * Throws `schema_incompatible` where the registry refuses one, `registry_unavailable` where it cannot be reached.
   */
  register(catalog: Catalog, prefix: string): Promise<Map<string, number>>
  /** The same ids without registering anything: one that the registry does not have is left out. */
  known(catalog: Catalog, prefix: string): Promise<Map<string, number>>
  fetch(schemaId: number): Promise<AvroRecord>
  ping(): Promise<void>
}

export interface RegistryOptions {
  readonly url: string
  readonly auth?: { readonly username: string; readonly password: string }
}

const registrationAttempts = 10

export const schemaRegistry = ({ url, auth }: RegistryOptions): Registry => {
  const client = new SchemaRegistry({
    host: url,
    retry: { retries: 5, initialRetryTimeInSecs: 0.1, maxRetryTimeInSecs: 2 },
    ...(auth === undefined ? {} : { auth }),
  })

  const ask = async (path: string, request: RequestInit = {}): Promise<Response> => {
    const response = await fetch(new URL(path, url.endsWith('/') ? url : `${url}/`), {
      ...request,
      signal: AbortSignal.timeout(5_000),
      headers: { ...(request.headers as Record<string, string> | undefined), ...authorization(auth) },
    })
    if (response.status === 404 && request.method === 'POST') return response
    // Anything may answer 404 on its way up; only the registry itself knows that it has no such schema.
    if (response.status === 404 && (await errorCodeOf(response)) === schemaNotFound) {
      throw new EmbudoError(
        'schema_unknown',
        `the registry at ${url} has no ${path}; was the record written with another registry?`,
      )
    }
    // 409: another process is setting the same at this moment.
    if (!response.ok && response.status !== 409)
      throw new Error(`${path} was answered with status ${response.status}`)
    return response
  }

  const setCompatibility = async (subject: string): Promise<void> => {
    const response = await ask(`config/${encodeURIComponent(subject)}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
      body: JSON.stringify({ compatibility: COMPATIBILITY.FULL_TRANSITIVE }),
    })
    await response.body?.cancel()
  }

  /**
   * The client registers a subject's first schema and then sets its compatibility. Another process may do the
   * same at the same time, and this one may have died in between at an earlier start: both are made good here.
   */
  const register = async (version: EventVersion, subject: string): Promise<number> => {
    for (let attempt = 1; ; attempt++) {
      try {
        const { id } = await client.register(
          { type: SchemaType.AVRO, schema: JSON.stringify(version.schema) },
          { subject, compatibility: COMPATIBILITY.FULL_TRANSITIVE },
        )
        return id
      } catch (cause) {
        const isUnset = /compatibility does not match the configuration/i.test(messageOf(cause))
        const isRace = isUnset || /already exists/i.test(messageOf(cause))
        if (!isRace || attempt === registrationAttempts)
          throw registryError(cause, `${version.type}/${version.version}`, url)
        if (isUnset) await setCompatibility(subject)
      }
    }
  }

  /** Undefined where the registry has no such schema under the subject. */
  const idOf = (version: EventVersion, subject: string): Promise<number | undefined> =>
    patiently(delay, { attempts: 4 }, () => askId(version, subject))

  const askId = async (version: EventVersion, subject: string): Promise<number | undefined> => {
    try {
      const response = await ask(`subjects/${encodeURIComponent(subject)}`, {
        method: 'POST',
        headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
        body: JSON.stringify({ schemaType: 'AVRO', schema: JSON.stringify(version.schema) }),
      })
      if (response.status === 404) return void (await response.body?.cancel())
      return ((await response.json()) as { id: number }).id
    } catch (cause) {
      throw registryError(cause, `${version.type}/${version.version}`, url)
    }
  }

  return {
    async register(catalog, prefix) {
      const ids = new Map<string, number>()
      await Promise.all(
        [...catalog.events.values()].map(async (event) => {
          const subject = subjectOf(event, prefix)
          for (const version of event.versions) {
            ids.set(`${event.type}/${version.version}`, await register(version, subject))
          }
        }),
      )
      return ids
    },

    async known(catalog, prefix) {
      const ids = new Map<string, number>()
      await Promise.all(
        [...catalog.events.values()].map(async (event) => {
          for (const version of event.versions) {
            const id = await idOf(version, subjectOf(event, prefix))
            if (id !== undefined) ids.set(`${event.type}/${version.version}`, id)
          }
        }),
      )
      return ids
    },

    async fetch(schemaId) {
      if (schemaId < 0) {
        throw new EmbudoError(
          'record_unframed',
          'the value does not begin with a zero byte and the id of a schema',
        )
      }
      try {
        const { schema, schemaType } = (await (await ask(`schemas/ids/${schemaId}`)).json()) as Registered
        if (schemaType !== undefined && schemaType !== 'AVRO')
          throw new EmbudoError('schema_foreign', `schema ${schemaId} is ${schemaType}, and no Avro`)
        return JSON.parse(schema) as AvroRecord
      } catch (cause) {
        throw registryError(cause, `schema ${schemaId}`, url)
      }
    },

    async ping() {
      try {
        await (await ask('subjects')).body?.cancel()
      } catch (cause) {
        throw registryError(cause, 'the list of subjects', url)
      }
    },
  }
}

interface Registered {
  readonly schema: string
  /** Absent where it is Avro. */
  readonly schemaType?: string
}

/** Of Confluent's interface. */
const schemaNotFound = 40_403

const errorCodeOf = async (response: Response): Promise<unknown> => {
  const answer: unknown = await response.json().catch(() => undefined)
  return (answer as { error_code?: unknown } | null | undefined)?.error_code
}

const subjectOf = ({ topic, current }: EventDefinition, prefix: string): string =>
  `${topicName(prefix, topic)}-${current.schema.namespace}.${current.schema.name}`

const authorization = (auth: RegistryOptions['auth']): Record<string, string> =>
  auth === undefined
    ? {}
    : { authorization: `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}` }

const registryError = (cause: unknown, what: string, url: string): EmbudoError => {
  if (cause instanceof EmbudoError) return cause
  const text = messageOf(cause)
  return /incompatib|compatibility/i.test(text)
    ? new EmbudoError(
        'schema_incompatible',
        `the registry refuses ${what}: ${text}. Give every new field a default, change no type; see docs/schemas.md`,
        { cause },
      )
    : new EmbudoError(
        'registry_unavailable',
        `no good answer from the registry at ${url} for ${what}: ${text}`,
        {
          cause,
          retriable: true,
        },
      )
}
