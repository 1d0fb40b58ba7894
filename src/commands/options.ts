import { InvalidArgumentError, Option } from 'commander'

export const jsonOption = (): Option => new Option('--json', 'print JSON')

export const urlOption = (): Option =>
  new Option('--url <address>', 'where embudo answers (default: where it runs on this machine)').argParser(
    (text) => {
      if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text
      throw new InvalidArgumentError('expected an address as http://127.0.0.1:4000')
    },
  )

export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}`)
  }

export const positiveNumber = (text: string): number => {
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new InvalidArgumentError('expected a number above 0')
}

/** A day as YYYY-MM-DD, in milliseconds since the epoch at its beginning in UTC. */
export const day = (text: string): number => {
  const ms = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  if (!Number.isNaN(ms)) return ms
  throw new InvalidArgumentError('expected a day as 2026-11-20')
}
