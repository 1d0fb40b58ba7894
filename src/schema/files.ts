import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EventVersion } from '../define/catalog.ts'
import { EmbudoError } from '../define/error.ts'
import type { AvroRecord } from '../define/field.ts'
import { generatedSource } from '../define/generate.ts'

const generatedFile = 'events.generated.ts'

/** Every `schemas/<topic>/<event>/<version>.avsc`, by topic, type and version. */
export const readSchemaFiles = (folder: string): EventVersion[] =>
  globSync('*/*/*.avsc', { cwd: folder })
    .map((path): EventVersion => {
      const [topic, type, file] = path.split('/') as [string, string, string]
      const version = Number(/^(\d+)\.avsc$/.exec(file)?.[1])
      const schema = parse(join(folder, path))
      if (!Number.isInteger(version) || schema.name !== type || schema.namespace !== `embudo.${topic}`) {
        throw new EmbudoError(
          'schema_file',
          `schemas/${path}: expected <topic>/<event>/<version>.avsc, with "namespace": "embudo.${topic}" and "name": "${type}"`,
        )
      }
      return { topic, type, version, schema }
    })
    .toSorted(
      (a, b) => a.topic.localeCompare(b.topic) || a.type.localeCompare(b.type) || a.version - b.version,
    )

/** Writes schemas/events.generated.ts; true where that changed it. With `write` false it only tells. */
export const generateSchemas = (folder: string, write: boolean): boolean => {
  const versions = readSchemaFiles(folder)
  const topics = globSync('*/topic.ts', { cwd: folder }).map((path) => path.split('/')[0]!)
  const upcasts = globSync('*/*/*.upcast.ts', { cwd: folder }).map((path) => {
    const [topic, type, file] = path.split('/') as [string, string, string]
    return { topic, type, version: Number.parseInt(file, 10) }
  })
  const source = generatedSource(versions, topics.toSorted(), upcasts)
  const path = join(folder, generatedFile)
  if (source === existing(path)) return false
  if (write) writeFileSync(path, source)
  return true
}

const parse = (path: string): AvroRecord => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as AvroRecord
  } catch (cause) {
    throw new EmbudoError('schema_file', `${path} is not JSON: ${(cause as Error).message}`, { cause })
  }
}

const existing = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
