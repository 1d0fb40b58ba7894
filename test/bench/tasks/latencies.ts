export interface Latencies {
  readonly p50Ms: number
  readonly p99Ms: number
}

/** 0 where there are none. */
export const latenciesOf = (milliseconds: readonly number[]): Latencies => {
  const sorted = milliseconds.toSorted((a, b) => a - b)
  const quantile = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? 0
  return { p50Ms: quantile(0.5), p99Ms: quantile(0.99) }
}
