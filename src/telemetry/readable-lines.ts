import colors from 'picocolors'
import { type DestinationStream, levels } from 'pino'

/** pino's lines for people: `10:00:00.123 info  http  listening  port=4000`, and an error's stack below. */
export const readableLines = (stream: DestinationStream): DestinationStream => ({
  write: (line) => {
    stream.write(readable(line))
  },
})

/** What is not a line of pino's passes as it is. */
export const readable = (line: string): string => {
  const entry = parse(line)
  if (entry === undefined) return line
  const { level, time, role, pid: _, msg, err, ...facts } = entry
  const label = levels.labels[Number(level)] ?? String(level)
  const paint = paints[label] ?? colors.white
  const clock = String(time).slice(11, 23)
  const words = [
    colors.dim(clock),
    paint(label.padEnd(5)),
    colors.dim(String(role).padEnd(6)),
    String(msg ?? ''),
  ]
  for (const [name, value] of Object.entries(facts)) words.push(colors.dim(`${name}=`) + textOf(value))
  return `${words.join(' ').trimEnd()}\n${isRecord(err) ? `${errorOf(err)}\n` : ''}`
}

const paints: Readonly<Record<string, (text: string) => string>> = {
  debug: colors.dim,
  info: colors.green,
  warn: colors.yellow,
  error: colors.red,
  fatal: colors.red,
}

/** An error that says what to do needs no stack: those are the project's own, and carry a code. */
const errorOf = ({ code, message, stack, type }: Record<string, unknown>): string => {
  const text = type === 'EmbudoError' ? `${code}: ${message}` : String(stack ?? message)
  return text.replace(/^/gm, '    ')
}

const textOf = (value: unknown): string =>
  typeof value === 'string' && !/[\s="]/.test(value) ? value : JSON.stringify(value)

const parse = (line: string): Record<string, unknown> | undefined => {
  try {
    const entry: unknown = JSON.parse(line)
    return isRecord(entry) ? entry : undefined
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
