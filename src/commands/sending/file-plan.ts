import { EmbudoError } from '../../define/error.ts'
import { type CsvPlan, type CsvPlanOptions, csvPlan } from './csv-plan.ts'
import type { Export } from './export.ts'
import { isReject } from './rejects.ts'
import type { Source } from './source-file.ts'

/** What a file is, decided from its name and its first bytes. */
export type FilePlan =
  | { readonly format: 'ndjson'; readonly areRejects: boolean }
  | { readonly format: 'csv'; readonly csv: CsvPlan }

export interface PlannedFile {
  readonly source: Source
  readonly plan: FilePlan
}

export interface FilePlanOptions extends CsvPlanOptions {
  readonly format: 'ndjson' | 'csv' | undefined
  readonly exports: readonly Export[]
}

/** Throws `wrong_use` for what cannot be sent as it is, saying what to do. */
export const filePlan = async (source: Source, options: FilePlanOptions): Promise<FilePlan> => {
  const format = options.format ?? formatOfName(source.path)
  const text = (await beginningOf(source)).trimStart()
  if (format === undefined && text === '') return { format: 'ndjson', areRejects: false }
  if ((format ?? (/^[{[]/.test(text) ? 'ndjson' : 'csv')) === 'csv') {
    const head = await source.head(headBytes)
    return { format: 'csv', csv: csvPlan(head, source.name, options.exports, options) }
  }
  if (text.startsWith('[')) {
    throw new EmbudoError(
      'wrong_use',
      `${source.name} is one JSON array; one event a line is expected: jq -c '.[]' ${source.path} | npx embudo send`,
    )
  }
  return { format: 'ndjson', areRejects: isReject(text.split('\n', 1)[0] ?? '') }
}

/** Empty only where nothing but blanks is there, be it that somebody had nothing to say. */
const beginningOf = async (source: Source): Promise<string> => {
  if (source.path !== '-') return (await source.head()).toString('utf8')
  // The first bytes tell; to wait for more would hold up events that come now and then.
  for (let seen = 0; ; ) {
    const start = await source.head(seen + 1)
    const text = start.toString('utf8')
    if (text.trim() !== '' || start.length === seen) return text
    seen = start.length
  }
}

const headBytes = 256 * 1024

const formatOfName = (path: string): 'ndjson' | 'csv' | undefined => {
  const name = path.toLowerCase().replace(/\.(gz|zst)$/, '')
  if (/\.(csv|tsv)$/.test(name)) return 'csv'
  return /\.(ndjson|jsonl)$/.test(name) ? 'ndjson' : undefined
}
