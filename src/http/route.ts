import type { IncomingHttpHeaders } from 'node:http'
import type * as z from 'zod'

/** One operation, declared once: Express serves it from this and the OpenAPI document describes it from this. */
export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'delete'
  /** `/api/leads/{leadId}` */
  readonly path: string
  readonly tag: string
  readonly summary: string
  readonly description?: string
  readonly params?: z.ZodObject
  readonly query?: z.ZodObject
  /** Request headers, for the document. */
  readonly headers?: z.ZodObject
  /**
   * Reads the body as JSON; the handler says what is valid, the document below what it looks like. `optional`: a
   * request without a body is taken too, and its `body` is undefined.
   */
  readonly takesJson?: true | 'optional'
  readonly answers: Readonly<Record<number, AnswerDescription>>
  /** Statuses that it may answer with problem details, beside 404 and 500. */
  readonly problems: readonly number[]
  /** What only the document needs to know: the body, free-form parameters. */
  readonly document?: Readonly<Record<string, unknown>>
  /** Absent where something in front of Express answers. */
  readonly handle?: (request: RouteRequest) => Promise<Answer>
}

export interface AnswerDescription {
  readonly description: string
  readonly schema?: z.ZodType
  readonly contentType?: string
  readonly headers?: z.ZodObject
  readonly example?: unknown
}

/** What a handler gets; what has a schema has been validated by it. */
export interface RouteRequest<Params = unknown, Query = unknown> {
  readonly params: Params
  readonly query: Query
  readonly body: unknown
  /** The same as it came; empty where no body is read. */
  readonly bytes: Buffer
  readonly headers: IncomingHttpHeaders
}

export type Answer =
  | { readonly status?: number; readonly json: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly status?: number; readonly text: string; readonly contentType: string }
  /** What takes long: 200 once the first piece is there, a problem where making it fails. */
  | { readonly pieces: AsyncIterable<string>; readonly contentType: string }

interface TypedRoute<P extends z.ZodObject, Q extends z.ZodObject>
  extends Omit<Route, 'params' | 'query' | 'handle'> {
  readonly params?: P
  readonly query?: Q
  readonly handle: (request: RouteRequest<z.output<P>, z.output<Q>>) => Promise<Answer>
}

/** Gives the handler the types of its schemas. */
export const route = <P extends z.ZodObject, Q extends z.ZodObject>(declared: TypedRoute<P, Q>): Route =>
  declared as unknown as Route
