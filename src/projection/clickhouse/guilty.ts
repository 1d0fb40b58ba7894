/** Beyond it those that were found are taken, and the rest is for the next time. */
const mostTrials = 500

/**
 * Which of some items are refused on their own account, found by halving. A refusal alone proves nothing: a request
 * that was cut on its way looks the same. So an item is guilty only where it is refused alone, where all that has
 * passed then passes together (nothing at all, if nothing has), and where it is refused alone once more.
 */
export const guiltyOf = async <Item, Refusal>(
  items: readonly Item[],
  refusalOf: (items: readonly Item[]) => Promise<Refusal | undefined>,
): Promise<Map<Item, Refusal>> => {
  const guilty = new Map<Item, Refusal>()
  const passed: (readonly Item[])[] = []
  const waiting = [items]
  for (let trials = 0; trials < mostTrials && waiting.length > 0; trials++) {
    const some = waiting.pop()!
    const refusal = await refusalOf(some)
    if (refusal === undefined) passed.push(some)
    else if (some.length === 1) guilty.set(some[0]!, refusal)
    else if (some.length > 1) {
      const half = some.length >> 1
      waiting.push(some.slice(half), some.slice(0, half))
    }
  }
  if (guilty.size === 0 || (await refusalOf(passed.flat())) !== undefined) return new Map()
  for (const item of guilty.keys()) if ((await refusalOf([item])) === undefined) guilty.delete(item)
  return guilty
}
