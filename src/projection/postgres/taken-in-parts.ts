import type { PoolClient } from 'pg'
import { isRefusal } from './poison.ts'

/**
 * Does something with rows inside the caller's transaction, some at a time. Where Postgres refuses rows they are tried
 * by halves, until it is known which ones: those are answered, and nothing has come of them.
 */
export const takenInParts = async <Item>(
  client: PoolClient,
  items: readonly Item[],
  atOnce: number,
  work: (some: readonly Item[]) => Promise<void>,
): Promise<{ readonly item: Item; readonly error: unknown }[]> => {
  const refused: { item: Item; error: unknown }[] = []
  const take = async (some: readonly Item[]): Promise<void> => {
    await client.query('savepoint part')
    try {
      await work(some)
      await client.query('release savepoint part')
    } catch (error) {
      // A TypeError: what no text can be made of.
      if (!isRefusal(error) && !(error instanceof TypeError)) throw error
      await client.query('rollback to savepoint part')
      if (some.length === 1) refused.push({ item: some[0]!, error })
      else {
        const half = some.length >> 1
        await take(some.slice(0, half))
        await take(some.slice(half))
      }
    }
  }
  for (let at = 0; at < items.length; at += atOnce) await take(items.slice(at, at + atOnce))
  return refused
}
