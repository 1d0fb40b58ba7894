import { join } from 'node:path'
import { InvalidArgumentError, Option } from 'commander'
import { EmbudoError } from '../define/error.ts'
import { type Role, roles, type StartApp, serve } from '../supervisor/serve.ts'
import { joinSiblings } from '../supervisor/siblings.ts'
import { startWithSiblings } from '../supervisor/start.ts'
import { createLogger } from '../telemetry/logger.ts'
import type { AddCommand } from './context.ts'

interface Options {
  readonly roles: string
  readonly sibling?: number
}

/** Prints nothing but the program's log. `startApp` is handed in by who knows all parts. */
export const startWith =
  (startApp: StartApp): AddCommand =>
  (program, context) => {
    program
      .command('start')
      .description('run the program against parts that are there already')
      .option('--roles <list>', `which of ${roles.join(',')}`, roles.join(','))
      .addOption(
        new Option('--sibling <number>', 'which of several on one port it is').argParser(whole).hideHelp(),
      )
      .action(async ({ roles: list, sibling }: Options) => {
        const wanted = rolesIn(list)
        const config = context.config()
        const { signal } = context
        const logger = createLogger({ level: config.EMBUDO_LOG_LEVEL, role: wanted.join('+') })
        if (sibling === undefined && wanted.includes('ingest') && config.EMBUDO_INGEST_PROCESSES > 1) {
          return await startWithSiblings({
            config,
            roles: wanted,
            environment: context.environment,
            main: join(context.root, 'src', 'main.ts'),
            signal,
            onStarted: (started) => logger.info(started, 'serving in several processes'),
            onRestart: (name, why) => logger.error({ name, why }, 'a process ended, starting it again'),
          })
        }
        await serve({
          config,
          roles: wanted,
          startApp,
          siblings: sibling === undefined ? undefined : joinSiblings(sibling),
          signal,
          onOverdue: (limitMs) => logger.warn({ limitMs }, 'stopped before everything was done'),
        })
      })
  }

const rolesIn = (list: string): Role[] => {
  const wanted = list.split(',').map((name) => name.trim())
  const isRole = (name: string): name is Role => roles.some((role) => role === name)
  const unknown = wanted.filter((name) => !isRole(name))
  if (unknown.length > 0) {
    throw new EmbudoError('wrong_use', `no such role: ${unknown.join(', ')}; there are ${roles.join(', ')}`)
  }
  return wanted.filter(isRole)
}

const whole = (text: string): number => {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('expected a number from 1')
  return Number(text)
}
