/** The later place of each partition, of two `Embudo-Position` headers: `<topic>:<partition>:<offset>, ...`. */
export const laterPosition = (one: string | undefined, other: string | undefined): string | undefined => {
  if (one === undefined || other === undefined) return one ?? other
  const places = new Map<string, number>()
  for (const place of `${one},${other}`.split(',')) {
    const end = place.lastIndexOf(':')
    const partition = place.slice(0, end).trim()
    places.set(partition, Math.max(Number(place.slice(end + 1)), places.get(partition) ?? -1))
  }
  return Array.from(places, ([partition, offset]) => `${partition}:${offset}`).join(', ')
}
