import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { isUriReference } from './envelope.ts'

export type BodyKind = 'json' | 'cloudevent' | 'cloudevents' | 'binary' | 'ndjson'
export type BodyEncoding = 'identity' | 'gzip' | 'zstd'

/** What a request's body is; undefined for a content type that is not taken. */
export const bodyKind = (headers: IncomingHttpHeaders): BodyKind | undefined => {
  const header = headers['content-type']
  if (header === 'application/json') return isBinary(headers) ? 'binary' : 'json'
  // The SDKs' binary mode leaves the content type out where the event has none; data is JSON then.
  if (header === undefined) return isBinary(headers) ? 'binary' : undefined
  const [type = '', ...parameters] = header.toLowerCase().split(';')
  if (!parameters.every(saysUtf8)) return undefined
  switch (type.trim()) {
    case 'application/json':
      return isBinary(headers) ? 'binary' : 'json'
    case 'application/cloudevents+json':
      return 'cloudevent'
    case 'application/cloudevents-batch+json':
      return 'cloudevents'
    case 'application/x-ndjson':
      return 'ndjson'
    default:
      return undefined
  }
}

export const bodyEncoding = (headers: IncomingHttpHeaders): BodyEncoding | undefined => {
  const encoding = headers['content-encoding']
  if (encoding === undefined) return 'identity'
  switch (encoding.trim().toLowerCase()) {
    case 'identity':
    case '':
      return 'identity'
    case 'gzip':
    case 'x-gzip':
      return 'gzip'
    case 'zstd':
      return 'zstd'
    default:
      return undefined
  }
}

/** An event of CloudEvents' binary mode: attributes in `ce-*` headers, the body is the data. */
export const fromBinaryMode = (headers: DistinctHeaders, data: unknown): Record<string, unknown> => {
  // An attribute may have any name, and none is lost.
  const event: Record<string, unknown> = Object.create(null)
  for (const [name, [value = ''] = []] of Object.entries(headers)) {
    if (!name.startsWith(prefix)) continue
    const text = unescaped(value)
    // Some SDKs send a URI as it is: what it has escaped for itself stays.
    event[name.slice(prefix.length)] = name === 'ce-source' && !isUriReference(text) ? value : text
  }
  event.data = data
  return event
}

/** An attribute that several headers give: which of them was meant? */
export const repeatedAttribute = (headers: DistinctHeaders): string | undefined => {
  for (const [name, values = []] of Object.entries(headers))
    if (name.startsWith(prefix) && values.length > 1) return name.slice(prefix.length)
  return undefined
}

type DistinctHeaders = IncomingMessage['headersDistinct']

const prefix = 'ce-'

const isBinary = (headers: IncomingHttpHeaders): boolean => {
  for (const name in headers) if (name.startsWith(prefix)) return true
  return false
}

const saysUtf8 = (parameter: string): boolean => {
  const [name = '', value = ''] = parameter.split('=')
  return name.trim() !== 'charset' || /^"?(utf-?8|us-ascii)"?$/.test(value.trim())
}

/** CloudEvents' HTTP binding: values are UTF-8, percent-encoded where they are not printable ASCII. */
const unescaped = (header: string): string => {
  const value = asUtf8(header)
  const text =
    value.length > 1 && value.startsWith('"') && value.endsWith('"')
      ? value.slice(1, -1).replace(/\\(.)/g, '$1')
      : value
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Node reads headers as Latin-1, which is what some SDKs send; others send their UTF-8 without encoding it. */
const asUtf8 = (header: string): string => {
  if (!/[\x80-\xff]/.test(header)) return header
  const bytes = Buffer.from(header, 'latin1')
  return isUtf8(bytes) ? bytes.toString('utf8') : header
}
