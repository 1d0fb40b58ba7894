import { env } from 'node:process'

const { EMBUDO_TEST_SOAK: soak } = env

/** How much is tried: the full measure with EMBUDO_TEST_SOAK=1 (`make soak`), else what a push can wait for. */
export const extent = <T>(measures: { readonly full: T; readonly short: T }): T =>
  soak === '1' ? measures.full : measures.short
