import Table from 'cli-table3'
import pc from 'picocolors'
import type { CommandContext } from './context.ts'

type Out = Pick<CommandContext, 'stdout' | 'isTerminal'>

/** Colours for a terminal, unless NO_COLOR says otherwise; elsewhere the same text without them. */
export const coloursOf = (isTerminal: boolean) => pc.createColors(isTerminal && pc.isColorSupported)

export const printLine = ({ stdout }: Pick<Out, 'stdout'>, text = ''): void => void stdout.write(`${text}\n`)

/** One document: laid out for a person on a terminal, one line for a program. */
export const printJson = ({ stdout, isTerminal }: Out, value: unknown): void =>
  void stdout.write(`${JSON.stringify(value, undefined, isTerminal ? 2 : undefined)}\n`)

export interface Column {
  readonly title: string
  readonly align?: 'right'
}

/** Columns with space between them and no frame: it reads well and can be cut and sorted by other tools. */
export const printTable = (
  out: Out,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): void => {
  const { dim } = coloursOf(out.isTerminal)
  const table = new Table({
    head: columns.map(({ title }) => dim(title)),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: noFrame,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
  })
  table.push(...rows.map((row) => [...row]))
  printLine(out, table.toString().replaceAll(/ +$/gm, ''))
}

const noFrame = Object.fromEntries(
  [
    ...['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
    ...['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'],
  ].map((name) => [name, '']),
)

/** 12345 as 12,345. */
export const count = (value: number): string => value.toLocaleString('en')

/** What rate some number of events has, to be read: 12,345/s. */
export const rate = (events: number, ms: number): string => `${count(Math.round(perSecond(events, ms)))}/s`

export const perSecond = (events: number, ms: number): number => (ms <= 0 ? 0 : (events * 1000) / ms)

/** 90061000 as 1 d 1 h; 61000 as 1 min 1 s; 1500 as 1.5 s. */
export const span = (ms: number): string => {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} min`
  return `${Math.floor(ms / 86_400_000)} d ${Math.round((ms % 86_400_000) / 3_600_000)} h`
}
