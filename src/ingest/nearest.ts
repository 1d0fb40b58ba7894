/** The name that was probably meant, or undefined where none is close enough to be worth saying. */
export const nearest = (name: string, names: Iterable<string>): string | undefined => {
  if (name.length > 64) return undefined
  let best: string | undefined
  let bestDistance = Math.min(4, Math.max(2, Math.floor(name.length / 4) + 1))
  for (const candidate of names) {
    const distance = editDistance(plain(name), plain(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

const plain = (name: string): string => name.toLowerCase().replaceAll(/[_-]/g, '')

const editDistance = (left: string, right: string): number => {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const next = [i]
    for (let j = 1; j <= right.length; j++) {
      const swap = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1)
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[right.length]!
}
