type Unit = 'ms' | 'second' | 'minute' | 'hour' | 'day'
export type Duration = `${number} ${Unit | `${Exclude<Unit, 'ms'>}s`}`

const unitMs: Readonly<Record<Unit, number>> = {
  ms: 1,
  second: 1_000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
}

/** '30 minutes' in milliseconds. */
export const durationMs = (duration: Duration): number => {
  const [amount, unit] = duration.split(' ') as [string, string]
  return Number(amount) * unitMs[unit.replace(/(?<=...)s$/, '') as Unit]
}
