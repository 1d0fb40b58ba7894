import type { IncomingMessage, ServerResponse } from 'node:http'
import cors from 'cors'

export type CrossOrigin = (request: IncomingMessage, response: ServerResponse, next: () => void) => void

/** Lets pages of these origins send events and read what is here; undefined where there are none. */
export const crossOrigin = (origins: readonly string[]): CrossOrigin | undefined => {
  if (origins.length === 0) return undefined
  return cors<IncomingMessage>((request, answer) =>
    answer(null, {
      origin: [...origins],
      methods: ['GET', 'POST', 'PUT', 'DELETE'],
      allowedHeaders: allowedOf(request.headers['access-control-request-headers']),
      exposedHeaders: ['Embudo-Position', 'Retry-After'],
      maxAge: 600,
    }),
  )
}

/** CloudEvents has a header for each attribute, extensions included: those that are asked for are named back. */
const allowedOf = (asked: string | undefined): string[] =>
  [...allowed, ...(asked ?? '').toLowerCase().split(',').map(trimmed).filter(isAttribute)].slice(0, 64)

const allowed = ['content-type', 'content-encoding', 'traceparent', 'embudo-position', 'x-request-id']

const trimmed = (name: string): string => name.trim()

const isAttribute = (name: string): boolean => /^ce-[a-z0-9]{1,64}$/.test(name)
