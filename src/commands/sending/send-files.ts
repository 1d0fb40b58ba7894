import { EmbudoError } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'
import { coloursOf, count, printLine } from '../output.ts'
import { withDayFirstAdvice } from './day-first-advice.ts'
import { describe } from './description.ts'
import { destinationOf } from './destination.ts'
import type { EventLine } from './event-line.ts'
import type { FileEventsOptions } from './file-events.ts'
import type { PlannedFile } from './file-plan.ts'
import { onSecondInterrupt } from './interrupt.ts'
import type { LocalTimes } from './local-time.ts'
import { openRejects, openRejectsText } from './open-rejects.ts'
import { RejectsFile, rejectsPath } from './rejects.ts'
import { sendFile } from './send-file.ts'
import { Sender } from './sender.ts'
import { type Standing, standingOf } from './sending-state.ts'
import { eventsCounted, windowWarning } from './sent-before.ts'
import { Skipped } from './skipped.ts'
import { printSummary } from './summary.ts'

export interface SendFilesOptions {
  readonly context: CommandContext
  readonly events: FileEventsOptions
  readonly times: LocalTimes
  readonly url: string | undefined
  /** Of the options that make other events of the same file. */
  readonly as: string
  readonly newIds: boolean
  readonly fromStart: boolean
  readonly rejects: string | undefined
  readonly rate: number | undefined
  readonly giveUpAfterMs: number
  readonly json: boolean
}

/** Sends each file from where it stands, one after the other. Throws once something was rejected, also by an earlier run, or broke off. */
export const sendFiles = async (files: readonly PlannedFile[], options: SendFilesOptions): Promise<void> => {
  const { context, json } = options
  const to = destinationOf(options.url, context)
  const standings = await Promise.all(files.map(async (file) => await standing(file, to, options)))
  const say = (text: string) => {
    if (!json) printLine(context, text)
  }
  const { bold, dim } = coloursOf(context.isTerminal)
  const toSend = files.filter((_, index) => standings[index]!.is !== 'finished')
  for (const [index, { source, plan }] of files.entries()) {
    const found = standings[index]!
    const what = source.path === '-' ? 'standard input' : source.name
    say(`${bold(what)}  ${describe(plan, options.times)}`)
    if (found.is === 'finished') say(`  ${bold(standingText(found))}`)
    else if (found.is !== 'new' && found.state.done > 0) say(dim(`  ${standingText(found)}`))
  }
  const isSentAgain = options.fromStart && !options.newIds
  const warn: ReturnType<typeof windowWarning> = isSentAgain ? windowWarning(context) : () => undefined
  using rejects = rejectsOf(files, standings, options)
  using _ = onSecondInterrupt(context.signal)
  const skipped = new Skipped()
  const total = toSend.reduce((sum, { source }) => sum + (source.bytes ?? Number.NaN), 0)
  const sender = new Sender<EventLine>({
    context,
    url: options.url,
    giveUpAfterMs: options.giveUpAfterMs,
    rate: options.rate,
    total: Number.isNaN(total) ? undefined : Math.max(1, total),
    onRejected: (line, error) => {
      const { source, plan } = current
      const told = plan.format === 'csv' ? withDayFirstAdvice(error, line.text, options.times) : error
      rejects.add(source.name, line, told)
    },
  })
  let current: PlannedFile = files[0]!
  let isComplete = false
  try {
    using _bar = sender
    let bytesBefore = 0
    for (const [index, file] of files.entries()) {
      const found = standings[index]!
      if (found.is === 'finished') continue
      current = file
      warn(file.source, eventsCounted(file.source.path))
      await sendFile(file, found, {
        ...options,
        to,
        onThrough: warn,
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
  const open = openRejects(rejects, standings)
  if (open.length > 0) {
    const rejected = open.reduce((sum, { events }) => sum + events, 0)
    const facts = { rejected, file: open.at(-1)!.path, files: open.map(({ path }) => path) }
    throw new EmbudoError('events_rejected', open.map(openRejectsText).join('\n'), { facts })
  }
}

const standing = async (
  { source, plan }: PlannedFile,
  to: string,
  options: SendFilesOptions,
): Promise<Standing> => {
  if (source.path === '-' || options.fromStart) return { is: 'new' }
  const { as, newIds } = options
  const found = await standingOf(source, { to, as, canGrow: plan.format === 'ndjson' })
  // What is done is done, unless the same is to be said anew.
  return newIds && found.is !== 'new' && found.state.finishedAt !== null ? { is: 'new' } : found
}

const standingText = (found: Exclude<Standing, { is: 'new' }>): string => {
  const { done, line, accepted, rejected, rejects, finishedAt } = found.state
  if (found.is === 'finished') {
    const rejectedToo = rejected > 0 ? `, ${count(rejected)} rejected (${rejects})` : ''
    return `is done since ${finishedAt}: ${count(accepted)} accepted${rejectedToo}. Nothing of it is sent now; --from-start sends it again`
  }
  const grown = found.is === 'grown' ? 'has grown, ' : ''
  return `${grown}goes on at line ${count(line + 1)}, ${count(done)} events are through; --from-start begins anew`
}

/** Goes on in the file of the run that is taken up; otherwise one of its own. */
const rejectsOf = (
  files: readonly PlannedFile[],
  standings: readonly Standing[],
  { rejects, context }: SendFilesOptions,
): RejectsFile => {
  const at = standings.findIndex((each) => each.is === 'begun')
  const begun = standings[at]
  if (begun?.is === 'begun' && (rejects === undefined || rejects === begun.state.rejects)) {
    const { rejects: path, rejectsBytes: bytes, rejectsDigest: digest, rejected: count, line } = begun.state
    const behind = { file: files[at]!.source.name, line }
    const takenUp = RejectsFile.takenUp({ path, bytes, digest, count, behind })
    if (takenUp !== undefined) return takenUp
    if (rejects === undefined) tellOfChange(path)
  }
  const first = files[0]!.source.path
  return new RejectsFile(rejectsPath(first === '-' ? 'stdin' : first, rejects))

  function tellOfChange(path: string): void {
    context.stderr.write(
      `embudo: ${path} was changed since and stays as it is: mend it and send it itself. What is not accepted from here on goes into a file of its own\n`,
    )
  }
}
