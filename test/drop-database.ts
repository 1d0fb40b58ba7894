import type { ClientBase, Pool } from 'pg'
import { until } from './processes.ts'

/**
 * Postgres waits five seconds for sessions that are ending: cut off while it ends, a client's pool would have an error
 * that nobody hears. Whoever is still connected after some tries is cut off.
 */
export const dropDatabase = async (server: Pick<ClientBase | Pool, 'query'>, name: string): Promise<void> => {
  let tries = 0
  await until(`the database ${name} is dropped`, async () => {
    try {
      await server.query(`drop database ${name}${++tries > 4 ? ' with (force)' : ''}`)
      return true
    } catch (error) {
      if ((error as { code?: string }).code === objectInUse) return false
      throw error
    }
  })
}

const objectInUse = '55006'
