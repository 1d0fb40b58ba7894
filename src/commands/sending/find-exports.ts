import { globSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Export } from './export.ts'

/** Every export that a file in exports/ describes: knowing one more is adding a file. */
export const findExports = async (): Promise<Export[]> => {
  const folder = join(import.meta.dirname, 'exports')
  const modules = await Promise.all(
    globSync('*.ts', { cwd: folder })
      .toSorted()
      .map(async (file) => (await import(pathToFileURL(join(folder, file)).href)) as Record<string, unknown>),
  )
  return modules.flatMap((module) => Object.values(module)).filter(isExport)
}

const isExport = (value: unknown): value is Export =>
  typeof value === 'object' && value !== null && 'name' in value && 'source' in value && 'recognise' in value
