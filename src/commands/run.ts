import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { coloursOf } from './output.ts'

export const exitStatus = { done: 0, failed: 1, wrongUse: 2 } as const

/** Errors that are not the program's but the caller's. */
const wrongUse = new Set(['wrong_use', 'config_invalid', 'cannot_listen'])

/** Runs one command line, without the two words in front of it, and says with what status to exit. */
export const runCommandLine = async (
  args: readonly string[],
  context: CommandContext,
  commands: readonly AddCommand[],
): Promise<number> => {
  const program = new Command('embudo')
    .description('Event-sourced funnel platform on Kafka')
    .version(versionOf(context.root))
    .showHelpAfterError('(embudo <command> --help says what it takes)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
  for (const add of commands) add(program, context)
  try {
    await program.parseAsync(args, { from: 'user' })
    return exitStatus.done
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? exitStatus.done : exitStatus.wrongUse
    }
    printError(error, args.includes('--json'), context)
    return error instanceof EmbudoError && wrongUse.has(error.code) ? exitStatus.wrongUse : exitStatus.failed
  }
}

const printError = (error: unknown, asJson: boolean, context: CommandContext): void => {
  if (asJson) {
    const { code, retriable } = error instanceof EmbudoError ? error : { code: 'internal', retriable: false }
    context.stderr.write(`${JSON.stringify({ error: { code, detail: messageOf(error), retriable } })}\n`)
    return
  }
  const { red } = coloursOf(context.showsProgress)
  // Of what nobody foresaw, the place is worth more than a kind word.
  const foreseen = error instanceof EmbudoError
  const text = foreseen || !(error instanceof Error) ? messageOf(error) : (error.stack ?? error.message)
  context.stderr.write(`${red('embudo:')} ${text}\n`)
}

const versionOf = (root: string): string =>
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version
