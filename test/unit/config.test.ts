import { describe, expect, it } from 'vitest'
import { describeConfig, readConfig } from '../../src/config.ts'

const refusal = (environment: Record<string, string>): string => {
  try {
    readConfig(environment)
  } catch (error) {
    expect(error).toMatchObject({ code: 'config_invalid' })
    return (error as Error).message
  }
  throw new Error('it was accepted')
}

describe('the configuration', () => {
  it('has a default for everything but the outside', () => {
    const config = readConfig({})
    expect(config).toMatchObject({
      EMBUDO_HOST: '127.0.0.1',
      EMBUDO_PORT: 4000,
      EMBUDO_TOPIC_PREFIX: 'embudo.',
      KAFKA_BROKERS: undefined,
    })
    expect(config.dataDir).toMatch(/^\/.*\.embudo$/)
    expect(Object.isFrozen(config)).toBe(true)
  })

  it('reads what is set, and takes an empty value as not set', () => {
    const config = readConfig({
      KAFKA_BROKERS: 'a:9092,b:9093',
      EMBUDO_PORT: '0',
      EMBUDO_HOST: '',
      EMBUDO_CORS_ORIGINS: 'https://a.example, http://localhost:3000',
      EMBUDO_SAGA_WITHIN: 'enrollment.take_payment=5 seconds, a.b=200 ms',
    })
    expect(config).toMatchObject({ KAFKA_BROKERS: 'a:9092,b:9093', EMBUDO_PORT: 0, EMBUDO_HOST: '127.0.0.1' })
    expect(config.EMBUDO_CORS_ORIGINS).toEqual(['https://a.example', 'http://localhost:3000'])
    expect(config.EMBUDO_SAGA_WITHIN).toEqual({ 'enrollment.take_payment': 5_000, 'a.b': 200 })
  })

  it.each([
    ['EMBUDO_PROT', '4000', 'no such setting'],
    ['EMBUDO_PORT', 'http', 'EMBUDO_PORT: got "http"'],
    ['EMBUDO_PORT', '70000', 'EMBUDO_PORT: got "70000"'],
    ['KAFKA_BROKERS', 'localhost', 'expected host:port'],
    ['DATABASE_URL', 'mysql://x', 'postgres://'],
    ['KAFKA_SSL', 'yes', 'KAFKA_SSL'],
    ['EMBUDO_CORS_ORIGINS', '*', 'expected origins'],
    ['EMBUDO_CORS_ORIGINS', 'https://a.example/path', 'expected origins'],
    ['EMBUDO_SAGA_WITHIN', 'soon', 'expected <saga>.<step>=<number> seconds'],
  ])('refuses %s=%s and says why', (name, value, why) => {
    expect(refusal({ [name]: value })).toContain(why)
  })

  it('refuses less room for what waits than for what is in flight', () => {
    const said = refusal({ EMBUDO_MAX_PENDING_BYTES: '1048576' })
    expect(said).toContain('EMBUDO_MAX_PENDING_BYTES: got 1048576')
    expect(said).toContain('EMBUDO_MAX_IN_FLIGHT_BYTES (67108864)')
    const both = { EMBUDO_MAX_PENDING_BYTES: '1048576', EMBUDO_MAX_IN_FLIGHT_BYTES: '1048576' }
    expect(readConfig(both)).toMatchObject({ EMBUDO_MAX_PENDING_BYTES: 1_048_576 })
  })

  it('names everything that is wrong at once', () => {
    expect(refusal({ EMBUDO_PORT: 'x', EMBUDO_NONE: '1' }).split('\n')).toHaveLength(2)
  })

  it('leaves the settings of other programs alone', () => {
    expect(() => readConfig({ PATH: '/bin', OTEL_SOMETHING: 'x' })).not.toThrow()
  })

  it('tells no password', () => {
    const secret = 'correct-horse'
    const environment = {
      KAFKA_SASL_PASSWORD: secret,
      DATABASE_URL: `postgres://embudo:${secret}@db:5432/embudo`,
      CLICKHOUSE_URL: `http://embudo:${secret}@ch:8123`,
    }
    expect(JSON.stringify(describeConfig(environment))).not.toContain(secret)
    expect(refusal({ DATABASE_URL: `mysql://embudo:${secret}@db/x`, EMBUDO_PORT: 'x' })).not.toContain(secret)
  })

  it('describes every setting with its value and a line of help', () => {
    const table = describeConfig({ EMBUDO_PORT: '5000' })
    expect(table.find(({ name }) => name === 'EMBUDO_PORT')).toMatchObject({
      value: '5000',
      isDefault: false,
    })
    expect(table.every(({ help }) => help.length > 10)).toBe(true)
  })
})
