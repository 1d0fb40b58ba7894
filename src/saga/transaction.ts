import type { Pool, PoolClient } from 'pg'

/**
 * Committed synchronously, whatever the server's default: a journal entry that Postgres forgets is an effect
 * that nobody knows of. A process that is stopped in the middle loses its locks after `idleMs`.
 */
export const transaction = async <T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  idleMs = 15_000,
): Promise<T> => {
  const client = await pool.connect()
  let broken: Error | undefined
  // Without a listener, a connection that the server ends while we hold it would end the process.
  const onError = (error: Error): void => {
    broken = error
  }
  client.on('error', onError)
  try {
    await client.query(
      `begin; set local synchronous_commit = on; set local idle_in_transaction_session_timeout = ${idleMs}`,
    )
    const answer = await work(client)
    await client.query('commit')
    return answer
  } catch (error) {
    await client.query('rollback').catch((failed: Error) => {
      broken = failed
    })
    throw error
  } finally {
    client.off('error', onError)
    client.release(broken)
  }
}
