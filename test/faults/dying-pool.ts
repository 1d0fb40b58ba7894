import type { Pool, PoolClient } from 'pg'

/**
 * A pool whose process dies at its n-th statement: before it is sent, or after it was done and before its answer
 * came. From then on nothing gets through, and what was open is rolled back, as by kill -9.
 */
export const dyingPool = (inner: Pool, dieAt: number, when: 'before' | 'after') => {
  const open = new Set<PoolClient>()
  const died = Promise.withResolvers<void>()
  let statements = 0
  let isDead = false

  const gone = () => new Error('connection terminated: this process is dead')
  const die = (): never => {
    isDead = true
    for (const client of open) client.release(gone())
    open.clear()
    died.resolve()
    throw gone()
  }
  const pass = async <T>(statement: () => Promise<T>): Promise<T> => {
    if (isDead) throw gone()
    const isLast = ++statements === dieAt
    if (isLast && when === 'before') die()
    const answer = await statement()
    if (isDead) throw gone()
    return isLast ? die() : answer
  }

  const connect = async (): Promise<PoolClient> => {
    if (isDead) throw gone()
    const client = await inner.connect()
    open.add(client)
    return new Proxy(client, {
      get(target, name) {
        if (name === 'query') {
          return (...query: Parameters<Pool['query']>) =>
            pass(() => target.query(...query) as unknown as Promise<unknown>)
        }
        if (name === 'release') {
          return (error?: Error) => {
            if (open.delete(client)) client.release(error)
          }
        }
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  const query = (...query: Parameters<Pool['query']>) =>
    pass(() => inner.query(...query) as unknown as Promise<unknown>)
  return { pool: { connect, query } as unknown as Pool, died: died.promise, isDead: () => isDead }
}
