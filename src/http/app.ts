import { randomUUID } from 'node:crypto'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import { EmbudoError } from '../define/error.ts'
import { announcedBytes, invite, parseJson, type Room, readBody } from './body.ts'
import { docs } from './docs.ts'
import { jsonShape } from './json-shape.ts'
import { type DocumentInfo, openApiDocument } from './openapi.ts'
import { parseParameters, queryOf } from './parameters.ts'
import { type Problem, problem, problemOf, retryAfterOf, sendProblem } from './problem.ts'
import type { Answer, Route } from './route.ts'

export interface AppParts {
  readonly routes: readonly Route[]
  readonly info: DocumentInfo
  /** An error that nobody foresaw, or one of the server's own making. */
  readonly onError: (error: unknown, requestId: string) => void
  readonly newId?: () => string
  /** Room for a body, held until its request is answered; throws where there is none. */
  readonly admit?: ((request: Request, bytes: number) => Room & Disposable) | undefined
}

/** Everything but the hot path. */
export const createApp = ({ routes, info, onError, newId = randomUUID, admit }: AppParts): Express => {
  const app = express()
  app.disable('x-powered-by')
  // One address for each thing, here as in front of Express.
  app.enable('strict routing')
  app.enable('case sensitive routing')
  app.disable('etag')
  app.set('query parser', false)
  app.use((request: Request, response: Response, next: NextFunction) => {
    const given = request.headers['x-request-id']
    response.setHeader(
      'x-request-id',
      typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : newId(),
    )
    response.setHeader('x-content-type-options', 'nosniff')
    next()
  })

  const document = JSON.stringify(openApiDocument(routes, info))
  app.get('/openapi.json', (_request: Request, response: Response) => {
    response.type('application/json').send(document)
  })
  app.use('/docs', docs())

  for (const declared of routes) {
    const { handle } = declared
    if (handle === undefined) continue
    app[declared.method](expressPath(declared.path), async (request: Request, response: Response) => {
      const params = parseParameters(declared.params, { ...request.params })
      const query = parseParameters(declared.query, queryOf(request.url))
      const isRead = declared.takesJson === 'optional' ? carriesBody(request) : declared.takesJson === true
      using room = isRead ? admit?.(request, announced(request)) : undefined
      const bytes = isRead ? await bodyOf(request, response, room) : noBytes
      const body = isRead ? parsed(bytes) : undefined
      const answer = await handle({ params, query, body, bytes, headers: request.headers })
      if ('pieces' in answer) await sendPieces(response, answer)
      else send(response, answer)
    })
  }
  for (const [path, methods] of methodsByPath(routes)) {
    app.all(expressPath(path), (request: Request, response: Response) => {
      const detail = `${request.method} is not available on ${path}; it takes ${methods.join(', ')}`
      sendTold(response, problem(405, 'method_not_allowed', detail, { allowed: methods }), {
        allow: methods.join(', '),
      })
    })
  }
  app.use((request: Request, response: Response) => {
    sendTold(
      response,
      problem(404, 'not_found', `there is nothing at ${request.path}; /openapi.json lists what there is`),
    )
  })
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    const told = isMalformedUrl(error)
      ? problem(400, 'bad_parameter', 'the address has a malformed percent-encoding')
      : problemOf(error)
    if (told.status === 500) onError(error, String(response.getHeader('x-request-id')))
    sendTold(response, told, {}, retryAfterOf(error))
  })
  return app
}

const carriesBody = ({ headers }: Request): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

const bodyOf = async (request: Request, response: Response, room: Room | undefined): Promise<Buffer> => {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    throw new EmbudoError('unsupported_content_type', `expected application/json, got ${type ?? 'none'}`)
  }
  if (!['identity', undefined].includes(request.headers['content-encoding'])) {
    throw new EmbudoError('unsupported_content_encoding', 'expected a body that is not compressed')
  }
  invite(request, response)
  return await readBody(request, 'identity', { ...bodyLimits, ...(room && { room }) })
}

const parsed = (bytes: Buffer): unknown => {
  jsonShape(bytes)
  return parseJson(bytes)
}

const noBytes = Buffer.alloc(0)

const announced = (request: Request): number => announcedBytes(request, 'identity', bodyLimits.maxBytes)

const bodyLimits = { maxBytes: 1024 * 1024, deadlineMs: 30_000 }

type WholeAnswer = Exclude<Answer, { readonly pieces: unknown }>

const send = (response: Response, answer: WholeAnswer): void => {
  response.status(answer.status ?? 200)
  if ('text' in answer) return void response.setHeader('content-type', answer.contentType).end(answer.text)
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value)
  response.setHeader('content-type', 'application/json').end(JSON.stringify(answer.json))
}

/** One that fails on the way breaks off: its status has been told. */
const sendPieces = async (
  response: Response,
  { pieces, contentType }: Extract<Answer, { readonly pieces: unknown }>,
): Promise<void> => {
  for await (const piece of pieces) {
    // Nobody listens any more: leaving the loop ends what makes the pieces.
    if (response.destroyed) return
    if (!response.headersSent) response.setHeader('content-type', contentType)
    if (!response.write(piece)) {
      await new Promise<void>((resolve) => {
        response.once('drain', resolve)
        response.once('close', resolve)
      })
    }
  }
  response.end()
}

const sendTold = (
  response: Response,
  told: Problem,
  headers: Readonly<Record<string, string>> = {},
  retryAfterSeconds?: number,
): void =>
  sendProblem(
    response,
    { ...told, requestId: response.getHeader('x-request-id') },
    { headers, retryAfterSeconds },
  )

const expressPath = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ':$1')

const methodsByPath = (routes: readonly Route[]): [string, string[]][] =>
  [...Map.groupBy(routes, ({ path }) => path)].map(([path, same]) => [
    path,
    same.map(({ method }) => method.toUpperCase()).sort(),
  ])

const isMalformedUrl = (error: unknown): boolean => error instanceof URIError
