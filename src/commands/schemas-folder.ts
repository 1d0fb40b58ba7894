import { globSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { TopicDefinition } from '../define/topic.ts'
import type { CommandContext } from './context.ts'

export const schemasFolder = ({ root }: Pick<CommandContext, 'root'>): string => join(root, 'schemas')

/** What each schemas/<topic>/topic.ts defines, read from the files: the generated list may be behind them. */
export const readTopics = async (context: Pick<CommandContext, 'root'>): Promise<TopicDefinition[]> => {
  const folder = schemasFolder(context)
  const files = globSync('*/topic.ts', { cwd: folder }).toSorted()
  const modules = await Promise.all(
    files.map(
      async (file) => (await import(pathToFileURL(join(folder, file)).href)) as Record<string, unknown>,
    ),
  )
  return modules.flatMap((module) => Object.values(module)).filter(isTopic)
}

const isTopic = (value: unknown): value is TopicDefinition =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  'subject' in value &&
  'partitions' in value
