import { cpus, totalmem } from 'node:os'
import Table from 'cli-table3'
import { cpuNote } from './cpu.ts'
import { median } from './median.ts'
import type { Speed } from './task.ts'

export interface Measure {
  readonly name: string
  /** Events a second, one of each round. */
  readonly product: readonly number[]
  readonly note?: string | undefined
  readonly baselines: readonly Baseline[]
  /** Events a second on two cores. */
  readonly aim?: number | undefined
  readonly limits?: readonly Limit[]
}

/** What has to stay small: memory, a latency. */
export interface Limit {
  readonly name: string
  readonly unit: 'MB' | 'ms'
  /** One of each round; empty where it cannot be told. */
  readonly values: readonly number[]
  readonly below?: number | undefined
}

export interface Baseline {
  readonly name: string
  readonly perSecond: readonly number[]
  readonly note?: string | undefined
  /** How many times as fast embudo should be. */
  readonly aim?: number | undefined
}

export interface Report {
  readonly at: string
  readonly machine: string
  readonly command: string
  readonly measures: readonly ReportedMeasure[]
}

export interface Begun {
  readonly at: Date
  /** Of the minute before: what else the machine was doing. */
  readonly load: number
}

interface ReportedMeasure {
  readonly limits: readonly {
    readonly name: string
    readonly value: number
    readonly unit: string
    readonly below: number | undefined
  }[]
  readonly name: string
  readonly perSecond: number
  readonly note: string | undefined
  readonly rounds: readonly number[]
  readonly aim: number | undefined
  readonly ofAim: number | undefined
  readonly baselines: readonly {
    readonly name: string
    readonly perSecond: number
    readonly ratio: number
    readonly aim: number | undefined
    readonly note: string | undefined
  }[]
}

export const baselineOf = (name: string, results: readonly Speed[], aim?: number): Baseline => {
  return { name, perSecond: results.map(({ perSecond }) => perSecond), note: cpuNote(results), aim }
}

export const reportOf = (measures: readonly Measure[], command: string, begun: Begun): Report => ({
  at: begun.at.toISOString(),
  machine: `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform}, Node ${process.versions.node}; load ${begun.load.toFixed(1)} as it began`,
  command,
  measures: measures.map(({ name, product, note, aim, baselines, limits = [] }) => {
    const perSecond = Math.round(median(product))
    return {
      name,
      perSecond,
      note,
      rounds: product.map(Math.round),
      aim,
      ofAim: aim === undefined ? undefined : hundredths(perSecond / aim),
      baselines: baselines.map((baseline) => {
        const itsPerSecond = Math.round(median(baseline.perSecond))
        return {
          name: baseline.name,
          perSecond: itsPerSecond,
          ratio: hundredths(perSecond / itsPerSecond),
          aim: baseline.aim,
          note: baseline.note,
        }
      }),
      limits: limits
        .filter(({ values }) => values.length > 0)
        .map(({ name, unit, values, below }) => ({ name, value: tenths(median(values)), unit, below })),
    }
  }),
})

/** A block for each measure: embudo first, then what it is compared with. */
export const tableOf = ({ measures }: Report): string => {
  const table = new Table({
    head: ['', 'events/s', 'embudo is', 'aim', 'of the aim', ''],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
    // No line between rows: those of a measure belong together.
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  })
  for (const { name, perSecond, note, aim, ofAim, baselines, limits } of measures) {
    const aimed = aim === undefined ? ['', ''] : [figure(aim), percent(ofAim ?? 0)]
    table.push([name, figure(perSecond), '', ...aimed, note ?? ''])
    for (const baseline of baselines) {
      table.push([
        `  ${baseline.name}`,
        figure(baseline.perSecond),
        `${baseline.ratio} x`,
        ...(baseline.aim === undefined
          ? ['', '']
          : [`${baseline.aim} x`, percent(baseline.ratio / baseline.aim)]),
        baseline.note ?? '',
      ])
    }
    for (const { name, value, unit, below } of limits) {
      const held = below === undefined || value < below ? 'held' : `${hundredths(value / below)} x`
      const limit = below === undefined ? ['', ''] : [`< ${figure(below)} ${unit}`, held]
      table.push([`  ${name}`, `${figure(value)} ${unit}`, '', ...limit, ''])
    }
  }
  return table.toString()
}

const percent = (share: number): string => `${Math.round(share * 100)}%`
const figure = (value: number): string => value.toLocaleString('en')
const tenths = (value: number): number => Math.round(value * 10) / 10
const hundredths = (value: number): number => Math.round(value * 100) / 100
