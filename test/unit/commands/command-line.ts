import { Readable, Writable } from 'node:stream'
import { type AddCommand, type CommandContext, commandContext } from '../../../src/commands/context.ts'
import { runCommandLine } from '../../../src/commands/run.ts'

export interface Ran {
  readonly status: number
  readonly out: string
  readonly err: string
  /** Of what was printed with --json. */
  readonly json: () => Record<string, unknown>
}

/** Runs a command line without a process: no terminal, an environment of its own, waits that pass at once. */
export const run = async (
  command: AddCommand,
  args: readonly string[],
  given: Partial<CommandContext> & { readonly input?: string } = {},
): Promise<Ran> => {
  const out = sink()
  const err = sink(given.showsProgress)
  const { input = '', ...more } = given
  const context = commandContext({
    environment: { EMBUDO_DATA_DIR: '/nonexistent/embudo', EMBUDO_PORT: '1' },
    stdin: Readable.from([Buffer.from(input)]),
    stdout: out.stream,
    stderr: err.stream,
    isTerminal: false,
    showsProgress: false,
    wait: async () => undefined,
    random: () => 0.5,
    ...more,
  })
  const status = await runCommandLine(args, context, [command])
  return { status, out: out.text(), err: err.text(), json: () => JSON.parse(out.text()) }
}

const sink = (isTTY = false) => {
  const pieces: string[] = []
  const stream = new Writable({
    write(piece, _encoding, done) {
      pieces.push(String(piece))
      done()
    },
  })
  return { stream: Object.assign(stream, { isTTY }), text: () => pieces.join('') }
}
