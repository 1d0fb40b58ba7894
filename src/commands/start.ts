import { EmbudoError } from '../define/error.ts'
import { type Role, roles, type StartApp, serve } from '../supervisor/serve.ts'
import type { AddCommand } from './context.ts'

/** Prints nothing but the program's log. `startApp` is handed in by who knows all parts. */
export const startWith =
  (startApp: StartApp): AddCommand =>
  (program, context) => {
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
        await serve(context.config(), wanted as Role[], startApp, context.signal)
      })
  }
