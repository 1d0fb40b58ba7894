/** The later place of each partition, of two `Embudo-Position` headers: `<topic>:<partition>:<offset>, ...`. */
export const laterPosition = (one: string | undefined, other: string | undefined): string | undefined => {
  if (one === undefined || other === undefined) return one ?? other
  const places = new Map(placesIn(one))
  for (const [partition, offset] of placesIn(other)) {
    places.set(partition, Math.max(offset, places.get(partition) ?? -1))
  }
  return [...places].map(([partition, offset]) => `${partition}:${offset}`).join(', ')
}

const placesIn = (header: string): [partition: string, offset: number][] =>
  header.split(',').map((place) => {
    const end = place.lastIndexOf(':')
    return [place.slice(0, end).trim(), Number(place.slice(end + 1))]
  })
