import { EmbudoError } from '../define/error.ts'
import { type Role, roles, serve } from '../supervisor/serve.ts'
import type { AddCommand } from './context.ts'

/** Nothing is printed but the log, which is JSON on standard output. */
export const startCommand: AddCommand = (program, context) => {
  program
    .command('start')
    .description('run the program against parts that are there already')
    .option('--roles <list>', `which of ${roles.join(',')}`, roles.join(','))
    .action(async (options: { roles: string }) => {
      const wanted = options.roles.split(',').map((name) => name.trim())
      const unknown = wanted.filter((name) => !roles.includes(name as Role))
      if (unknown.length > 0) {
        throw new EmbudoError(
          'wrong_use',
          `no such role: ${unknown.join(', ')}; there are ${roles.join(', ')}`,
        )
      }
      // Loaded here: the other commands start in a fraction of the time without it.
      const { startApp } = await import('../app.ts')
      await serve(context.config(), wanted as Role[], startApp, context.signal, () => {})
    })
}
