import { createDocument, type ZodOpenApiObject, type ZodOpenApiOperationObject } from 'zod-openapi'
import { problemSchema } from './problem.ts'
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
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
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

const problems = ({ problems, answers }: Route): ZodOpenApiOperationObject['responses'] =>
  Object.fromEntries(
    [...new Set([...problems, 500])]
      .filter((status) => !(status in answers))
      .map((status) => [
        String(status),
        {
          description: described[status] ?? 'An error',
          content: { 'application/problem+json': { schema: problemSchema } },
          ...(status === 429 || status === 503 ? { headers: retryAfter } : {}),
        },
      ]),
  )

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
