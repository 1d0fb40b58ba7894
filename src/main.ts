import cluster from 'node:cluster'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { type AddCommand, commandContext } from './commands/context.ts'
import { runCommandLine } from './commands/run.ts'
import { startWith } from './commands/start.ts'
import type { StartApp } from './supervisor/serve.ts'

/** Every file of commands/ whose exports end in `Command`: adding a command is adding a file. */
const loadCommands = async (): Promise<AddCommand[]> => {
  const folder = join(import.meta.dirname, 'commands')
  const modules = await Promise.all(
    globSync('*.ts', { cwd: folder })
      .toSorted()
      .map((file) => import(join(folder, file)) as Promise<Record<string, unknown>>),
  )
  return modules.flatMap((module) =>
    Object.entries(module)
      .filter(([name, value]) => name.endsWith('Command') && typeof value === 'function')
      .map(([, add]) => add as AddCommand),
  )
}

/** Loaded when it is wanted: the other commands start in a fraction of the time without it. */
const startApp: StartApp = async (...args) => (await import('./app.ts')).startApp(...args)

const interrupt = new AbortController()
process.on('SIGTERM', () => interrupt.abort())
for (const signal of ['SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // A terminal's Ctrl-C goes to its whole group: what stops when is for the supervisor of this one to say.
    if (!cluster.isWorker) interrupt.abort()
  })
}
// What is piped into `head` ends early: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const commands = [...(await loadCommands()), startWith(startApp)]
const status = await runCommandLine(
  process.argv.slice(2),
  commandContext({ signal: interrupt.signal }),
  commands,
)
// Whatever is still open (a keep-alive connection, a timer) has nothing left to say.
process.exit(status)
