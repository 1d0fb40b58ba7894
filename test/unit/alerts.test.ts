import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string }
}

const root = join(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const { groups }: { groups: { name: string; rules: Rule[] }[] } = parse(
  read('deploy/alerts/embudo.rules.yml'),
)
const rules = groups.flatMap((group) => group.rules)
const sources = globSync('src/**/*.ts', { cwd: root }).map(read).join('\n')
const operating = read('docs/operating.md')

describe('the example alarms', () => {
  it('are of every kind that an operator has to hear of', () => {
    const measures = rules.map(({ expr }) => expr).join('\n')
    for (const measure of [
      'embudo_projection_partitions{state="failed"}',
      'embudo_projection_partitions{state="stalled"}',
      'embudo_reconciliation_holes',
      'embudo_dead_letters{state="open"}',
      'embudo_projection_rebuild_differences',
    ]) {
      expect(measures).toContain(measure)
    }
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
  })

  it.each(rules.map((rule) => [rule.alert, rule] as const))('%s', (alert, rule) => {
    const measures = rule.expr.match(/embudo_\w+/g) ?? []
    expect(measures.length).toBeGreaterThan(0)
    for (const measure of measures) expect(sources, measure).toContain(`'${measure}'`)
    for (const [, label] of rule.expr.matchAll(/by \(([\w, ]+)\)/g)) {
      for (const name of label!.split(', ')) expect(labelsOf(measures[0]!)).toContain(name)
    }
    for (const [, label] of rule.expr.matchAll(/[{,]\s*(\w+)\s*=/g)) {
      expect(labelsOf(measures[0]!)).toContain(label)
    }
    for (const [, label] of rule.annotations.summary.matchAll(/\$labels\.(\w+)/g)) {
      expect(rule.expr).toContain(label)
    }
    expect(rule.expr.split('(').length).toBe(rule.expr.split(')').length)
    expect(rule.for ?? '1m').toMatch(/^\d+[smh]$/)
    expect(['critical', 'warning']).toContain(rule.labels.severity)
    expect(rule.annotations.description.length).toBeGreaterThan(20)
    expect(operating).toContain(`\`${alert}\``)
  })
})

/** As the source declares them, behind the measure's name. */
const labelsOf = (measure: string): string[] => {
  const declared = sources.slice(sources.indexOf(`'${measure}'`))
  return [.../\[('\w+'(?:, '\w+')*)\]/.exec(declared)![1]!.matchAll(/\w+/g)].map(([name]) => name)
}
