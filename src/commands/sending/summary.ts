import type { CommandContext } from '../context.ts'
import { coloursOf, count, perSecond, printJson, printLine, rate, span } from '../output.ts'
import type { EventLine } from './event-line.ts'
import type { PlannedFile } from './file-plan.ts'
import type { RejectsFile } from './rejects.ts'
import type { Sender } from './sender.ts'
import type { Standing } from './sending-state.ts'
import type { Skipped } from './skipped.ts'

export interface Summary {
  readonly sender: Sender<EventLine>
  readonly rejects: RejectsFile
  readonly skipped: Skipped
  readonly isComplete: boolean
  readonly files: readonly PlannedFile[]
  readonly standings: readonly Standing[]
}

/** What became of the events of this run, in the end and also where it broke off. */
export const printSummary = (summary: Summary, asJson: boolean, context: CommandContext): void => {
  const { sender, rejects, skipped, isComplete } = summary
  const { accepted, resentUnknown, position } = sender.delivery
  const { ms, sent } = sender
  const before = ofRunsBefore(summary.standings)
  if (asJson) {
    printJson(context, {
      complete: isComplete,
      sent,
      accepted,
      rejected: rejects.count,
      skipped: skipped.total,
      skippedBecause: skipped.byReason,
      before,
      rejects: rejects.count + rejects.earlier > 0 ? rejects.path : null,
      duplicateRisk: resentUnknown,
      lastPosition: position ?? null,
      seconds: ms / 1_000,
      perSecond: Math.round(perSecond(accepted, ms)),
      files: summary.files.map(({ source }, index) => {
        const standing = summary.standings[index]!
        const before = standing.is === 'new' ? 0 : standing.state.done
        return { file: source.path, was: standing.is, eventsBefore: before }
      }),
    })
    return
  }
  const { green, red, dim } = coloursOf(context.isTerminal)
  if (summary.standings.every(({ is }) => is === 'finished')) {
    printLine(context, 'nothing was sent: all of it was sent before; --from-start sends it again')
    return
  }
  printLine(
    context,
    `${green('accepted')}  ${count(accepted)} ${accepted === 1 ? 'event' : 'events'} in ${span(ms)}, ${rate(accepted, ms)}`,
  )
  if (rejects.count > 0)
    printLine(context, `${red('rejected')}  ${count(rejects.count)}, see ${rejects.path}`)
  if (skipped.total > 0) printLine(context, `left out  ${skipped.reasons()}`)
  if (resentUnknown > 0)
    printLine(context, dim(`${count(resentUnknown)} were sent again after a lost answer, with the same ids`))
  if (before.accepted + before.rejected > 0) {
    const text = `not counted above, of earlier runs: ${count(before.accepted)} accepted, ${count(before.rejected)} rejected`
    printLine(context, dim(text))
  }
}

const ofRunsBefore = (standings: readonly Standing[]): { accepted: number; rejected: number } => {
  const before = { accepted: 0, rejected: 0 }
  for (const found of standings) {
    if (found.is === 'new') continue
    before.accepted += found.state.accepted
    before.rejected += found.state.rejected
  }
  return before
}
