/** Draws that are the same for the same seeds, on every machine. */
export interface Random {
  /** From 0 up to 1, without 1. */
  readonly next: () => number
  readonly chance: (probability: number) => boolean
  /** Both ends included. */
  readonly whole: (min: number, max: number) => number
  readonly pick: <T>(from: readonly T[]) => T
  /** One of the things, each as often as its weight says. */
  readonly weighted: <T extends { readonly weight: number }>(from: readonly T[]) => T
  /** Exponentially distributed: many short waits, few long ones. */
  readonly wait: (mean: number) => number
}

export const seededRandom = (...seeds: readonly number[]): Random => {
  const next = mulberry32(seeds.reduce(mixed, 0x9e3779b9))
  return {
    next,
    chance: (probability) => next() < probability,
    whole: (min, max) => min + Math.floor(next() * (max - min + 1)),
    pick: (from) => from[Math.floor(next() * from.length)]!,
    weighted: (from) => {
      let left = next() * from.reduce((sum, { weight }) => sum + weight, 0)
      for (const one of from) {
        left -= one.weight
        if (left < 0) return one
      }
      return from.at(-1)!
    },
    wait: (mean) => -Math.log(1 - next()) * mean,
  }
}

/** Tommy Ettinger's generator with 32 bits of state: small, fast, and good enough to look like life. */
const mulberry32 = (seed: number) => {
  let state = seed | 0
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** murmur3's last step: seeds that differ by one give streams that have nothing in common. */
const mixed = (state: number, seed: number): number => {
  let h = (state ^ seed) | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) | 0
}
