import type { RepairFailure } from '../../projection/repair.ts'
import type { CommandContext } from '../context.ts'
import { coloursOf, count, perSecond, printJson, printLine, rate, span } from '../output.ts'
import { notRepaired } from '../projections-repair.ts'
import { offsetsText } from './range.ts'

interface SummaryOptions {
  readonly json?: true
  readonly toProjection?: string
  readonly follow?: true
}

export interface Summary {
  readonly topic: string
  readonly replayed: number
  readonly passed: number
  readonly ms: number
  readonly places: ReadonlyMap<number, number>
  readonly more: Readonly<Record<string, unknown>>
}

export const printSummary = (
  out: Pick<CommandContext, 'stdout' | 'isTerminal'>,
  { topic, replayed, passed, ms, places, more }: Summary,
  { json, toProjection: projection, follow }: SummaryOptions,
): void => {
  if (json) {
    printJson(out, {
      ...{ topic, replayed, passed, seconds: ms / 1_000, perSecond: Math.round(perSecond(replayed, ms)) },
      next: Object.fromEntries(places),
      ...more,
    })
    return
  }
  const { green, dim } = coloursOf(out.isTerminal)
  const others = passed === replayed ? '' : dim(`  ${count(passed - replayed)} others passed over`)
  printLine(
    out,
    `${green('replayed')}  ${count(replayed)} records of ${topic} in ${span(ms)}, ${rate(replayed, ms)}${others}`,
  )
  if (projection !== undefined) {
    printLine(
      out,
      `${green('repaired')}  ${projection}: ${more.changed ?? 0} rows of ${more.subjects ?? 0} subjects were not what the log says`,
    )
    for (const failure of failuresIn(more)) printLine(out, notRepaired(failure))
  }
  if (follow) printLine(out, goOn('to go on later:', places))
}

/** Rows that a repair left as they are. */
export const failuresIn = ({ failed }: Summary['more']): readonly RepairFailure[] =>
  (failed as readonly RepairFailure[] | undefined) ?? []

export const goOn = (why: string, places: ReadonlyMap<number, number>): string =>
  `${why} --from-offset ${offsetsText(places)}`
