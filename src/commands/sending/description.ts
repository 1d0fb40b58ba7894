import type { FilePlan } from './file-plan.ts'
import type { LocalTimes } from './local-time.ts'

/** What a file was taken for, in a few words. */
export const describe = (plan: FilePlan, { timeZone }: LocalTimes): string => {
  if (plan.format === 'ndjson') return plan.areRejects ? 'events of a file of rejects' : 'NDJSON'
  const parted = { ',': 'commas', ';': 'semicolons', '\t': 'tabs' }[plan.csv.delimiter] ?? plan.csv.delimiter
  return `${plan.csv.name}, parted by ${parted}, times without a zone are ${timeZone}`
}

/** The same for programs. */
export const described = (plan: FilePlan, { timeZone }: LocalTimes) =>
  plan.format === 'ndjson'
    ? { format: plan.areRejects ? 'rejects' : 'ndjson' }
    : {
        format: 'csv',
        recognisedAs: plan.csv.name,
        source: plan.csv.source,
        delimiter: plan.csv.delimiter,
        columns: plan.csv.columns,
        timeZone,
      }
