import { createDocument, type ZodOpenApiObject, type ZodOpenApiOperationObject } from 'zod-openapi'
import { problem, problemSchema } from './problem.ts'
import type { Route } from './route.ts'

export interface DocumentInfo {
  readonly title: string
  readonly version: string
  readonly description: string
}

/** OpenAPI 3.1, from the same declarations that requests are checked and answered by. */
export const openApiDocument = (routes: readonly Route[], info: DocumentInfo): unknown => {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method]: operation(route) }
  }
  const document = createDocument({
    openapi: '3.1.0',
    info: { ...info, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name, ...tagDescriptions(name) })),
    paths,
  } satisfies ZodOpenApiObject)
  for (const { parameters } of Object.values(document.paths ?? {}).flatMap((path) => Object.values(path))) {
    for (const parameter of (parameters ?? []) as DocumentedParameter[]) nest(parameter)
  }
  return document
}

interface DocumentedParameter {
  readonly in: string
  style?: string
  explode?: boolean
  readonly schema?: { readonly type?: unknown }
}

/** An object in the query is written `where[dimension]=value`, unless it says otherwise. */
const nest = (parameter: DocumentedParameter): void => {
  if (parameter.in !== 'query' || parameter.schema?.type !== 'object' || parameter.style !== undefined) return
  parameter.style = 'deepObject'
  parameter.explode = true
}

const operation = (route: Route): ZodOpenApiOperationObject => {
  const { params, query, headers } = route
  return {
    operationId: operationId(route),
    tags: [route.tag],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    requestParams: {
      ...(params === undefined ? {} : { path: params }),
      ...(query === undefined ? {} : { query }),
      ...(headers === undefined ? {} : { header: headers }),
    },
    responses: { ...answers(route), ...problems(route) },
    ...(route.document as object),
  }
}

const answers = ({ answers }: Route): ZodOpenApiOperationObject['responses'] =>
  Object.fromEntries(
    Object.entries(answers).map(([status, { description, schema, contentType, headers, example }]) => [
      status,
      {
        description,
        ...(headers === undefined ? {} : { headers }),
        content: {
          [contentType ?? 'application/json']: {
            ...(schema === undefined ? {} : { schema }),
            ...(example === undefined ? {} : { example }),
          },
        },
      },
    ]),
  )

/** Of every operation: an unknown parameter, a head that is too long, and what nobody foresaw. */
const problemsOfAll = [400, 431, 500]

const problems = ({ problems, answers }: Route): ZodOpenApiOperationObject['responses'] =>
  Object.fromEntries(
    [...new Set([...problems, ...problemsOfAll])]
      .filter((status) => !(status in answers))
      .map((status) => [
        String(status),
        {
          description: described[status] ?? 'An error',
          content: { 'application/problem+json': { schema: problemSchema, example: exampleProblem(status) } },
          ...(status === 429 || status === 503 ? { headers: retryAfter } : {}),
        },
      ]),
  )

const exampleProblem = (status: number): object => {
  const [code, detail, more] = exampleProblems[status] ?? ['internal', 'an unexpected error', {}]
  return problem(status, code, detail, more)
}

const exampleProblems: Readonly<
  Record<number, readonly [code: string, detail: string, more?: Readonly<Record<string, unknown>>]>
> = {
  400: [
    'unknown_parameter',
    'there is no parameter limt; there are limit, cursor',
    { field: 'limt', allowed: ['limit', 'cursor'] },
  ],
  404: ['not_found', 'there is no lead L-1'],
  408: ['body_timeout', 'the body took longer than 60000 ms'],
  409: ['rebuild_running', 'lead_profile is being rebuilt already'],
  413: ['body_too_large', 'the body is larger than 10485760 bytes', { maxBytes: 10_485_760 }],
  415: ['unsupported_content_type', 'expected application/json, got text/plain'],
  422: ['missing_field', 'expected text of at most 65536 characters, got nothing', { field: '/email' }],
  429: ['too_many_requests', 'more requests than are taken at once; try again'],
  431: ['headers_too_large', 'Request Header Fields Too Large'],
  500: ['internal', 'an unexpected error; the log of the server has it'],
  502: ['log_refused', 'the log refused the record'],
  503: ['log_unavailable', 'the log could not be reached; try again with the same ids'],
}

const tagDescriptions = (name: string): { description?: string } => {
  const description = describedTags[name]
  return description === undefined ? {} : { description }
}

const describedTags: Readonly<Record<string, string>> = {
  Events: 'What happened goes in here, and stays.',
  Leads: 'People of the funnel: registered, changed, and all that is known of them.',
  Reading: 'Read models in Postgres: pages, filters, single rows.',
  Analytics: 'Questions over all events, answered by ClickHouse.',
  Projections: 'What derives the read models from the log: where it stands, and building it anew.',
  'Dead letters': 'Records that a projection could not apply: why, and what is decided about them.',
  Sagas: 'Processes that act on the outside world, and undo what they did when a step fails.',
  Operating: 'Health and metrics.',
}

const retryAfter = { 'Retry-After': { description: 'Seconds', schema: { type: 'integer' as const } } }

const described: Readonly<Record<number, string>> = {
  400: 'Malformed: the code says what',
  404: 'There is no such thing',
  408: 'The body took too long',
  409: 'Not possible in the state it is in',
  413: 'Too large',
  415: 'Another content type or encoding than is taken',
  422: 'Not valid: the field is named',
  429: 'Too much at once: try again after Retry-After',
  431: 'The head of the request is too long',
  500: 'An unexpected error',
  502: 'The log refused it',
  503: 'Not available now: try again after Retry-After',
}

/** `GET /api/leads/{leadId}/events` -> `getLeadsLeadIdEvents` */
const operationId = ({ method, path }: Route): string =>
  method +
  path
    .replace(/^\/api/, '')
    .split(/[^a-zA-Z0-9]+/)
    .map((part) => part.slice(0, 1).toUpperCase() + part.slice(1))
    .join('')
