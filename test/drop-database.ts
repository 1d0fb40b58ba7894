import type { ClientBase, Pool } from 'pg'
import { until } from './processes.ts'

/** Whoever is still connected is cut off; where that takes longer than the five seconds that Postgres waits, again. */
export const dropDatabase = (server: Pick<ClientBase | Pool, 'query'>, name: string): Promise<void> =>
  until(`the database ${name} is dropped`, async () => {
    try {
      await server.query(`drop database ${name} with (force)`)
      return true
    } catch (error) {
      if ((error as { code?: string }).code === objectInUse) return false
      throw error
    }
  })

const objectInUse = '55006'
