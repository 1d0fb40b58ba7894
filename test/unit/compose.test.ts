import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const file = join(import.meta.dirname, '../../docker-compose.kafka.yml')
const text = readFileSync(file, 'utf8')

interface Service {
  image: string
  ports: string[]
  healthcheck: { test: string[] }
  volumes?: string[]
}
const compose: { services: Record<string, Service>; volumes: Record<string, unknown> } = parse(text)

describe('docker-compose.kafka.yml', () => {
  it('has the four parts', () => {
    expect(Object.keys(compose.services).toSorted()).toEqual(['clickhouse', 'kafka', 'postgres', 'registry'])
  })

  it.each(Object.entries(compose.services))(
    '%s: a pinned image, a health check, loopback ports',
    (_, service) => {
      expect(service.image).toMatch(/^[\w./-]+:\d+\.\d+[\w.]*$/)
      expect(service.healthcheck.test[0]).toBe('CMD')
      expect(service.ports.length).toBeGreaterThan(0)
      for (const port of service.ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
    },
  )

  it('keeps data in the volumes it declares', () => {
    const mounted = Object.values(compose.services).flatMap((service) => service.volumes ?? [])
    expect(mounted.map((mount) => mount.split(':')[0]).toSorted()).toEqual(
      Object.keys(compose.volumes).toSorted(),
    )
  })

  it('says in its head which environment points embudo at it, with the published ports', () => {
    const addresses = {
      KAFKA_BROKERS: 'kafka',
      SCHEMA_REGISTRY_URL: 'registry',
      DATABASE_URL: 'postgres',
      CLICKHOUSE_URL: 'clickhouse',
    }
    for (const [variable, service] of Object.entries(addresses)) {
      const [host, port] = compose.services[service]?.ports[0]?.split(':') ?? []
      expect(text).toMatch(new RegExp(`# +export ${variable}=\\S*${host}:${port}`))
    }
  })

  const hasCompose = spawnSync('docker', ['compose', 'version']).status === 0
  it.skipIf(!hasCompose)('is accepted by docker compose (skipped where there is no such client)', () => {
    const { status, stderr } = spawnSync('docker', ['compose', '-f', file, 'config', '-q'], {
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })
})
