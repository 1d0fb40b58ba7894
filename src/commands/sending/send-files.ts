import { EmbudoError } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'
import { coloursOf, count, printLine } from '../output.ts'
import { describe } from './description.ts'
import type { EventLine } from './event-line.ts'
import type { FileEventsOptions } from './file-events.ts'
import type { PlannedFile } from './file-plan.ts'
import { onSecondInterrupt } from './interrupt.ts'
import type { LocalTimes } from './local-time.ts'
import { RejectsFile, rejectsPath } from './rejects.ts'
import { sendFile } from './send-file.ts'
import { Sender } from './sender.ts'
import { type Standing, standingOf } from './sending-state.ts'
import { Skipped } from './skipped.ts'
import type { Source } from './source-file.ts'
import { printSummary } from './summary.ts'

export interface SendFilesOptions {
  readonly context: CommandContext
  readonly events: FileEventsOptions
  readonly times: LocalTimes
  readonly url: string | undefined
  /** Of the options that make other events of the same file. */
  readonly as: string
  readonly fromStart: boolean
  readonly rejects: string | undefined
  readonly rate: number | undefined
  readonly giveUpAfterMs: number
  readonly json: boolean
}

/** Sends each file from where it stands, one after the other. Throws once something was rejected or broke off. */
export const sendFiles = async (files: readonly PlannedFile[], options: SendFilesOptions): Promise<void> => {
  const { context, json } = options
  const standings = await Promise.all(files.map(async (file) => await standing(file, options)))
  const say = (text: string) => {
    if (!json) printLine(context, text)
  }
  const { bold, dim } = coloursOf(context.isTerminal)
  const open = files.filter((_, index) => standings[index]!.is !== 'finished')
  for (const [index, { source, plan }] of files.entries()) {
    const found = standings[index]!
    const what = source.path === '-' ? 'standard input' : source.name
    say(`${bold(what)}  ${describe(plan, options.times)}`)
    if (found.is !== 'new' && found.state.done > 0) say(dim(`  ${standingText(found)}`))
  }
  using rejects = rejectsOf(files, standings, options)
  using _ = onSecondInterrupt(context.signal)
  const skipped = new Skipped()
  const total = open.reduce((sum, { source }) => sum + (source.bytes ?? Number.NaN), 0)
  const sender = new Sender<EventLine>({
    context,
    url: options.url,
    giveUpAfterMs: options.giveUpAfterMs,
    rate: options.rate,
    total: Number.isNaN(total) ? undefined : Math.max(1, total),
    onRejected: (line, error) => rejects.add(current.name, line, error),
  })
  let current: Source = files[0]!.source
  let isComplete = false
  try {
    using _bar = sender
    let bytesBefore = 0
    for (const [index, file] of files.entries()) {
      const found = standings[index]!
      if (found.is === 'finished') continue
      current = file.source
      await sendFile(file, found, {
        ...options,
        to: target(options),
        sender,
        rejects,
        skipped,
        bytesBefore,
      })
      bytesBefore += file.source.bytes ?? 0
    }
    isComplete = true
  } finally {
    if (!sender.delivery.foundNobody)
      printSummary({ sender, rejects, skipped, isComplete, files, standings }, json, context)
  }
  const rejected = rejects.count + rejects.earlier
  if (rejected > 0) {
    const what = rejected === 1 ? 'one event was' : `${count(rejected)} events were`
    throw new EmbudoError(
      'events_rejected',
      `${what} not accepted: ${rejects.path} says why; mend them there, then: npx embudo send ${rejects.path}`,
      { facts: { rejected, file: rejects.path } },
    )
  }
}

const target = ({ url }: Pick<SendFilesOptions, 'url'>): string => url ?? 'this machine'

const standing = async ({ source, plan }: PlannedFile, options: SendFilesOptions): Promise<Standing> => {
  if (source.path === '-' || options.fromStart) return { is: 'new' }
  const { as, events } = options
  const found = await standingOf(source, { to: target(options), as, canGrow: plan.format === 'ndjson' })
  // What is done is done, unless the same is to be said anew.
  return events.newIds && found.is !== 'begun' ? { is: 'new' } : found
}

const standingText = (found: Exclude<Standing, { is: 'new' }>): string => {
  const { done, line, accepted, rejected, rejects, finishedAt } = found.state
  if (found.is === 'finished') {
    const rejectedToo = rejected > 0 ? `, ${count(rejected)} rejected (${rejects})` : ''
    return `is done since ${finishedAt}: ${count(accepted)} accepted${rejectedToo}; --from-start sends it again`
  }
  const grown = found.is === 'grown' ? 'has grown, ' : ''
  return `${grown}goes on at line ${count(line + 1)}, ${count(done)} events are through; --from-start begins anew`
}

/** Goes on in the file of the run that is taken up; otherwise one of its own. */
const rejectsOf = (
  files: readonly PlannedFile[],
  standings: readonly Standing[],
  { rejects }: SendFilesOptions,
): RejectsFile => {
  const begun = standings.find((each) => each.is === 'begun')
  if (begun?.is === 'begun' && (rejects === undefined || rejects === begun.state.rejects)) {
    return RejectsFile.takenUp(begun.state.rejects, begun.state.rejectsBytes, begun.state.rejected)
  }
  const first = files[0]!.source.path
  return new RejectsFile(rejectsPath(first === '-' ? 'stdin' : first, rejects))
}
