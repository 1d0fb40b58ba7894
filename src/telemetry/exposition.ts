/**
 * Joins what several processes tell Prometheus into one text: of each metric, the header once and every process's
 * series after it. Their labels must differ.
 */
export const joinExpositions = (texts: readonly string[]): string => {
  const metrics = new Map<string, { readonly header: string[]; readonly series: string[] }>()
  for (const text of texts) {
    let current: string[] = []
    for (const line of text.split('\n')) {
      if (line === '') continue
      const [, name] = /^# (?:HELP|TYPE) (\S+)/.exec(line) ?? []
      if (name === undefined) {
        current.push(line)
        continue
      }
      const metric = metrics.get(name) ?? { header: [], series: [] }
      metrics.set(name, metric)
      if (!metric.header.includes(line)) metric.header.push(line)
      current = metric.series
    }
  }
  return [...metrics.values()].map(({ header, series }) => [...header, ...series, ''].join('\n')).join('\n')
}
