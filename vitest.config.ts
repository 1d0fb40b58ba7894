import { defineConfig } from 'vitest/config'

/** Tests that need nothing but the source; all others share one set of real parts, started once a run. */
const source = ['test/unit/**/*.test.ts', 'test/architecture/**/*.test.ts']

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    expect: { poll: { timeout: 30_000 } },
    projects: [
      { extends: true, test: { name: 'source', include: source, testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        extends: true,
        test: {
          name: 'parts',
          include: ['test/**/*.test.ts'],
          exclude: source,
          globalSetup: ['test/parts.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
