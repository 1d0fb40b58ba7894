import type { CommandContext } from '../context.ts'
import { coloursOf, count, printJson, printLine } from '../output.ts'
import { parsedJson } from '../parsed-json.ts'
import { describe, described } from './description.ts'
import { type FileEventsOptions, fileEvents } from './file-events.ts'
import type { PlannedFile } from './file-plan.ts'
import type { LocalTimes } from './local-time.ts'
import { Skipped } from './skipped.ts'

const shown = 5

/** What each file was taken for, and its first events as they would be sent. */
export const dryRun = async (
  files: readonly PlannedFile[],
  options: FileEventsOptions,
  times: LocalTimes,
  asJson: boolean,
  context: CommandContext,
): Promise<void> => {
  const { bold, dim } = coloursOf(context.isTerminal)
  const all: unknown[] = []
  for (const { source, plan } of files) {
    const skipped = new Skipped()
    const first: string[] = []
    let events = 0
    let rejected = 0
    let because = ''
    // A file of any size is looked into; a CSV is read to its end, to say what of it would be sent.
    for await (const lines of fileEvents(source, plan, { ...options, onSkipped: skipped.add })) {
      for (const { text } of lines.slice(0, shown - first.length)) first.push(text)
      events += lines.length
      for (const { refused, number } of lines) {
        if (refused === undefined) continue
        rejected += 1
        because ||= `line ${number}, ${refused.code}: ${refused.detail}`
      }
      if (plan.format === 'ndjson' && first.length === shown) break
    }
    if (asJson) {
      const total =
        plan.format === 'csv' ? { events: events - rejected, rejected, skipped: skipped.byReason } : {}
      all.push({
        file: source.path,
        ...described(plan, times),
        ...total,
        first: first.map((text) => parsedJson(text) ?? text),
      })
      continue
    }
    printLine(context, `${bold(source.name)}  ${describe(plan, times)}`)
    if (plan.format === 'csv') printLine(context, dim(`columns  ${plan.csv.columns.join(', ')}`))
    for (const text of first) printLine(context, text)
    if (plan.format === 'csv')
      printLine(
        context,
        `would send ${count(events - rejected)} ${events - rejected === 1 ? 'event' : 'events'}${skipped.toText()}`,
      )
    if (rejected > 0) printLine(context, `would reject ${count(rejected)}, the first on ${because}`)
    printLine(context)
  }
  if (asJson) printJson(context, { dryRun: true, files: all })
  else printLine(context, dim('nothing was sent'))
}
