import { Counter } from 'prom-client'
import { expect, it } from 'vitest'
import { joinExpositions } from '../../../src/telemetry/exposition.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'

const ofProcess = async (number: number, seen: number): Promise<string> => {
  const { registry, append } = createMetrics('ingest+query', number)
  for (let n = 0; n < seen; n++) append.done(0.002)
  const odd = new Counter({ name: 'odd', help: 'Two\nlines.', labelNames: ['text'], registers: [registry] })
  odd.labels('# HELP me\n"now"').inc()
  return await registry.metrics()
}

it('joins the metrics of several processes: each header once, every series under its own', async () => {
  const joined = joinExpositions([await ofProcess(1, 3), await ofProcess(2, 5)])
  const lines = joined.split('\n')
  expect(lines.filter((line) => line.startsWith('# TYPE embudo_append_seconds '))).toHaveLength(1)
  expect(lines).toContain('embudo_append_seconds_count{role="ingest+query",process="1"} 3')
  expect(lines).toContain('embudo_append_seconds_count{role="ingest+query",process="2"} 5')
  expect(joined).toContain(
    [
      '# HELP odd Two\\nlines.',
      '# TYPE odd counter',
      'odd{text="# HELP me\\n\\"now\\"",role="ingest+query",process="1"} 1',
      'odd{text="# HELP me\\n\\"now\\"",role="ingest+query",process="2"} 1',
    ].join('\n'),
  )
  // Within one metric nothing of another: Prometheus takes it for an error.
  const names = lines.filter((line) => line.startsWith('# HELP ')).map((line) => line.split(' ')[2])
  expect(new Set(names).size).toBe(names.length)
  expect(joined.endsWith('\n')).toBe(true)
})

it('leaves the metrics of one process as they are', async () => {
  const one = await ofProcess(1, 2)
  const rows = (text: string) => text.split('\n').filter(Boolean)
  expect(rows(joinExpositions([one]))).toEqual(rows(one))
})
