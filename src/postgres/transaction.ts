import type { Pool, PoolClient } from 'pg'

/**
 * Committed synchronously unless told otherwise, whatever the server's default: a journal entry or an epoch that
 * Postgres forgets is an effect or a fence that nobody knows of. A process that is stopped in the middle loses
 * its locks after fifteen seconds. A connection that broke is closed and not handed out again.
 */
export const transaction = <T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
  synchronousCommit: 'on' | 'off' = 'on',
): Promise<T> =>
  within(pool, `begin; set local synchronous_commit = ${synchronousCommit}; ${losesItsLocks}`, work)

/** A trial: what `work` writes is taken back, and its locks end as those of a transaction do. */
export const rolledBack = <T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> =>
  within(pool, `begin; ${losesItsLocks}`, work, 'rollback')

const losesItsLocks = `set local idle_in_transaction_session_timeout = '15s'`

/** All that `work` reads is of one moment. It holds no locks: it may do other things in between. */
export const snapshot = <T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> =>
  within(
    pool,
    `begin isolation level repeatable read; set local idle_in_transaction_session_timeout = '10min'`,
    work,
  )

const within = async <T>(
  pool: Pool,
  begin: string,
  work: (client: PoolClient) => Promise<T>,
  end: 'commit' | 'rollback' = 'commit',
): Promise<T> => {
  const client = await pool.connect()
  let broken: Error | undefined
  // Without a listener, a connection that the server ends while we hold it would end the process.
  const onError = (error: Error): void => {
    broken = error
  }
  client.on('error', onError)
  try {
    await client.query(begin)
    const answer = await work(client)
    await client.query(end)
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
