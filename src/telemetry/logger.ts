import { type DestinationStream, type Logger, type LoggerOptions, pino, stdTimeFunctions } from 'pino'
import { readableLines } from './readable-lines.ts'

export interface LoggerConfig {
  /** pino's names, and `silent`. */
  readonly level: string
  /** What this process does; on every line. */
  readonly role: string
  /** Where lines go. Commands that print a result on standard output give standard error here. */
  readonly stream?: LogStream
}

/** A writable stream; on a terminal people read along. */
export interface LogStream extends DestinationStream {
  readonly isTTY?: boolean
}

/** One line of JSON an event, or one that people can read where the stream is a terminal. Never a secret. */
export const createLogger = ({ level, role, stream = process.stdout }: LoggerConfig): Logger => {
  const options: LoggerOptions = {
    level,
    base: { role, pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    hooks: { streamWrite: withoutSecrets },
  }
  return pino(options, stream.isTTY === true ? readableLines(stream) : stream)
}

/**
 * Works on the finished line, so that it also reaches what is deep inside an object, and passwords of addresses
 * that a library's error message quotes.
 */
export const withoutSecrets = (line: string): string =>
  line
    .replace(credentialsOfUrl, '://$1:***@')
    .replace(secretMember, '"$1":"***"')
    .replace(credentialsOfHeader, '$1 ***')

const credentialsOfUrl = /:\/\/([^:/@\s"]*):[^/@\s"]+@/g
const secretMember =
  /"((?:[a-z_-]*(?:password|passwd|passphrase|secret))|authorization|proxy-authorization|cookie|set-cookie|api[_-]?key|access[_-]?token)":"(?:[^"\\]|\\.)*"/gi
const credentialsOfHeader = /\b((?:proxy-)?authorization\s*[:=]\s*(?:basic|bearer|digest))\s+[^\s"\\]+/gi
