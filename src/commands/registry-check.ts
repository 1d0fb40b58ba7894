import * as z from 'zod'
import type { EventVersion } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import { reasonOf } from './server.ts'

export interface RegistryAccess {
  readonly url: string
  readonly auth: { readonly username: string; readonly password: string } | undefined
  readonly fetch: typeof fetch
}

export type RegistryVerdict =
  | { readonly is: 'compatible' }
  /** The registry has nothing under that subject. */
  | { readonly is: 'new' }
  | { readonly is: 'incompatible'; readonly messages: readonly string[] }

/** Whether the registry, which knows what was ever written, would take this version. */
export const askRegistry = async (
  { url, auth, fetch }: RegistryAccess,
  subject: string,
  { schema }: EventVersion,
): Promise<RegistryVerdict> => {
  const path = `compatibility/subjects/${encodeURIComponent(subject)}/versions/latest?verbose=true`
  let response: Response
  try {
    response = await fetch(new URL(path, url.endsWith('/') ? url : `${url}/`), {
      method: 'POST',
      headers: {
        'content-type': 'application/vnd.schemaregistry.v1+json',
        accept: 'application/vnd.schemaregistry.v1+json, application/json',
        ...(auth === undefined ? {} : { authorization: basic(auth) }),
      },
      body: JSON.stringify({ schemaType: 'AVRO', schema: JSON.stringify(schema) }),
      signal: AbortSignal.timeout(10_000),
    })
  } catch (cause) {
    throw unavailable(url, reasonOf(cause), cause)
  }
  if (response.status === 404) return { is: 'new' }
  const text = await response.text()
  if (!response.ok) throw unavailable(url, `status ${response.status}: ${text.slice(0, 200)}`)
  const { is_compatible: isCompatible, messages } = answer.parse(JSON.parse(text))
  return isCompatible ? { is: 'compatible' } : { is: 'incompatible', messages }
}

const answer = z.object({ is_compatible: z.boolean(), messages: z.array(z.string()).default([]) })

const basic = ({ username, password }: NonNullable<RegistryAccess['auth']>): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

const unavailable = (url: string, reason: string, cause?: unknown): EmbudoError =>
  new EmbudoError(
    'registry_unavailable',
    `no answer from the registry at ${url}: ${reason}; --offline checks without it`,
    {
      retriable: true,
      cause,
    },
  )
