import { count } from '../output.ts'

/** Rows of which nothing is sent, by the reason. */
export class Skipped {
  readonly byReason: Record<string, number> = {}

  readonly add = (why: string): void => {
    this.byReason[why] = (this.byReason[why] ?? 0) + 1
  }

  get total(): number {
    return Object.values(this.byReason).reduce((sum, rows) => sum + rows, 0)
  }

  /** ", leaves out 12 rows: 8 did not attend, 4 without a mail address"; nothing where there are none. */
  toText(): string {
    return this.total === 0 ? '' : `, leaves out ${this.reasons()}`
  }

  reasons(): string {
    const reasons = Object.entries(this.byReason).map(([why, rows]) => `${count(rows)} ${why}`)
    return `${count(this.total)} ${this.total === 1 ? 'row' : 'rows'}: ${reasons.join(', ')}`
  }
}
