import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { noTracing } from '../../../src/telemetry/span.ts'
import { startTracing } from '../../../src/telemetry/tracing.ts'

describe('tracing without an address', () => {
  it("starts no spans, and lets a caller's trace through", async () => {
    const tracing = await startTracing({ serviceName: 'embudo', onProblem: () => {} })
    const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

    expect(tracing).toBe(noTracing)
    expect(tracing.start('POST /api/events', { kind: 'server', parent }).traceparent).toBe(parent)
    expect(tracing.start('POST /api/events', { kind: 'server' }).traceparent).toBeUndefined()
  })

  it('loads nothing of OpenTelemetry', async () => {
    const tracing = join(import.meta.dirname, '../../../src/telemetry/tracing.ts')
    const program = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const { startTracing } = await import(${JSON.stringify(tracing)})
      await startTracing({ serviceName: 'embudo', onProblem: () => {} })
      process.stdout.write(JSON.stringify(loaded))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
    const loaded = JSON.parse(stdout) as string[]

    expect(loaded.some((url) => url.endsWith('/telemetry/tracing.ts'))).toBe(true)
    expect(
      loaded.filter((url) => url.includes('opentelemetry') || url.endsWith('/open-telemetry.ts')),
    ).toEqual([])
  })
})
