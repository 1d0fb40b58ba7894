import { spawn } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import * as z from 'zod'
import { extent } from '../faults/whole-program/extent.ts'
import { finished } from '../program.ts'
import { pythonVersion, pythonWithPackages } from './python.ts'
import { type RealFace, startRealFace } from './real-face.ts'

let face: RealFace
let document: Document
beforeAll(async () => {
  face = await startRealFace(inject('parts'))
  document = (await (await fetch(`${face.url}/openapi.json`)).json()) as Document
})
afterAll(() => face?.[Symbol.asyncDispose]())

interface Document {
  readonly tags: readonly { readonly name: string; readonly description?: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

interface Operation {
  readonly summary?: string
  readonly tags: readonly string[]
  readonly parameters?: readonly { readonly name: string; readonly description?: string }[]
  readonly requestBody?: { readonly content: Contents }
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content: Contents }>>
}

type Contents = Readonly<
  Record<string, { readonly schema: object; readonly example?: unknown; readonly examples?: Examples }>
>
type Examples = Readonly<Record<string, { readonly value: unknown }>>

describe('the OpenAPI document', () => {
  const operations = () =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ named: `${method} ${path}`, operation })),
    )

  it('has a sentence for every operation, parameter, tag and answer', () => {
    const described = new Set(document.tags.flatMap(({ name, description }) => (description ? [name] : [])))
    const silent = operations().flatMap(({ named, operation }) => [
      ...(operation.summary ? [] : [named]),
      ...operation.tags.filter((tag) => !described.has(tag)),
      ...(operation.parameters ?? []).flatMap(({ name, description }) =>
        description ? [] : [`${named} ${name}`],
      ),
      ...Object.entries(operation.responses).flatMap(([status, { description }]) =>
        description ? [] : [`${named} ${status}`],
      ),
    ])
    expect(silent).toEqual([])
  })

  it('has an example of every body and every answer, which its schema takes', () => {
    const wrong = operations().flatMap(({ named, operation }) => [
      ...notTaken(`${named} body`, operation.requestBody?.content ?? {}),
      ...Object.entries(operation.responses).flatMap(([status, { content }]) =>
        notTaken(`${named} ${status}`, content),
      ),
    ])
    expect(wrong).toEqual([])
  })

  const notTaken = (where: string, contents: Contents): string[] =>
    Object.entries(contents).flatMap(([type, { schema, example, examples }]) => {
      const values = examples === undefined ? [example] : Object.values(examples).map(({ value }) => value)
      if (values.length === 0 || values.includes(undefined)) return [`${where} ${type} has none`]
      const validator = z.fromJSONSchema(inlined(schema))
      return values.flatMap((value) => {
        const { error } = validator.safeParse(value)
        return error === undefined ? [] : [`${where} ${type}: ${z.prettifyError(error)}`]
      })
    })

  const inlined = (schema: object): Parameters<typeof z.fromJSONSchema>[0] => {
    const inline = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(inline)
      if (typeof value !== 'object' || value === null) return value
      if ('$ref' in value)
        return inline(document.components.schemas[String(value.$ref).split('/').at(-1) ?? ''])
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, inline(inner)]))
    }
    return inline(schema) as Parameters<typeof z.fromJSONSchema>[0]
  }
})

const version = await pythonVersion()

/** What a run finds, it finds again with its seed, which schemathesis prints. */
const { EMBUDO_TEST_SEED: seed = extent({ full: String(Date.now() % 1_000_000), short: '20261120' }) } = env
const seconds = extent({ full: { limits: 900, generated: 1_800 }, short: { limits: 60, generated: 30 } })

describe.skipIf(version === undefined)('the program and its OpenAPI document', () => {
  let python: string
  let folder: string
  beforeAll(async () => {
    python = await pythonWithPackages(version ?? '')
    folder = await mkdtemp(join(tmpdir(), 'embudo-schemathesis-'))
    for (const file of ['schemathesis.toml', 'generated_requests.py'])
      await copyFile(join(import.meta.dirname, file), join(folder, file))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** What it keeps for itself it keeps in the folder, which goes with the test. */
  const tried = async (forSeconds: number, ...phases: string[]): Promise<void> => {
    const args = [
      ...['-m', 'schemathesis.cli', 'run', `${face.url}/openapi.json`, '--continue-on-failure', '--no-color'],
      ...['--phases', phases.join(','), '--seed', seed, '--max-time', String(forSeconds)],
      ...['--request-timeout', '250', '--generation-database', 'none'],
    ]
    const { status, stdout, stderr } = await finished(spawn(python, args, { cwd: folder }))
    expect(status, stdout.slice(-20_000) + stderr).toBe(0)
  }
  const patienceMs = (forSeconds: number) => (forSeconds + 300) * 1_000

  it('it is valid by the meta-schema of OpenAPI 3.1', async () => {
    const check =
      'import json, sys; from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR as schema; ' +
      'print([f"{e.instance_path}: {e.message}"[:300] for e in schema.iter_errors(json.load(sys.stdin))])'
    const child = spawn(python, ['-c', check])
    child.stdin.end(JSON.stringify(document))
    const { stdout, stderr } = await finished(child)
    expect(stdout.trim(), stderr).toBe('[]')
  })

  it(
    'agree on the examples and on every limit that is named',
    () => tried(seconds.limits, 'examples', 'coverage'),
    patienceMs(seconds.limits),
  )

  it(
    'agree on whatever is generated, good and bad, alone and one after the other',
    () => tried(seconds.generated, 'fuzzing', 'stateful'),
    patienceMs(seconds.generated),
  )
})
