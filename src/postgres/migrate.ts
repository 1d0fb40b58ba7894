import { join } from 'node:path'
import { runner } from 'node-pg-migrate'
import type { Logger } from 'pino'

/**
 * Runs what is new in migrations/, in the order of the names, in one transaction under a lock: processes that
 * start at once do it once, and the others wait.
 */
export const migrate = async (databaseUrl: string, logger: Logger): Promise<void> => {
  await runner({
    databaseUrl,
    dir: join(import.meta.dirname, 'migrations'),
    direction: 'up',
    migrationsTable: 'migrations',
    migrationsSchema: 'embudo',
    createMigrationsSchema: true,
    advisoryLockMode: 'wait',
    singleTransaction: true,
    log: () => {},
    logger: {
      debug: () => {},
      info: (message) => logger.debug(message),
      warn: (message) => logger.warn(message),
      error: (message) => logger.error(message),
    },
  })
}
