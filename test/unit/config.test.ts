import { describe, expect, it } from 'vitest'
import { describeConfig, readConfig, withoutPassword } from '../../src/config.ts'

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

  it.each<[string, string, string]>([
    ['EMBUDO_PROT', '4000', 'no such setting'],
    ['EMBUDO_PORT', 'http', 'EMBUDO_PORT: got "http"'],
    ['EMBUDO_PORT', '70000', 'EMBUDO_PORT: got "70000"'],
    ['EMBUDO_PORT', ' ', 'EMBUDO_PORT: got " ", expected a whole number from 0 to 65535'],
    ['EMBUDO_PORT', '0x1F90', 'whole number'],
    ['EMBUDO_PORT', '8e3', 'whole number'],
    ['EMBUDO_PORT', '-1', 'whole number'],
    ['EMBUDO_MAX_POISONED_SHARE', ' ', 'expected a share from 0 to 1'],
    ['EMBUDO_MAX_POISONED_SHARE', '1.5', 'expected a share from 0 to 1'],
    ['KAFKA_BROKERS', 'localhost', 'expected host:port'],
    ['KAFKA_BROKERS', '::1:9092', 'expected host:port'],
    ['KAFKA_BROKERS', '[::1]', 'expected host:port'],
    ['DATABASE_URL', 'mysql://x', 'postgres://'],
    ['KAFKA_SSL', 'yes', 'KAFKA_SSL'],
    ['EMBUDO_CORS_ORIGINS', '*', 'expected origins'],
    ['EMBUDO_CORS_ORIGINS', 'https://a.example/path', 'expected origins'],
    ['EMBUDO_SAGA_WITHIN', 'soon', 'expected <saga>.<step>=<number> seconds'],
  ])('refuses %s=%s and says why', (name, value, why) => {
    expect(refusal({ [name]: value })).toContain(why)
  })

  it('takes brokers with an address of IPv6', () => {
    const brokers = '[::1]:9092,[2001:db8::7]:9093,kafka:9094'
    expect(readConfig({ KAFKA_BROKERS: brokers }).KAFKA_BROKERS).toBe(brokers)
  })

  const pem = import.meta.filename
  it.each([
    [
      { KAFKA_SSL_CA_FILE: pem },
      /^KAFKA_SSL_CA_FILE: it does nothing without KAFKA_SSL; set KAFKA_SSL=true$/m,
    ],
    [{ KAFKA_SSL_CERT_FILE: pem, KAFKA_SSL_KEY_FILE: pem }, /^KAFKA_SSL_CERT_FILE: .* KAFKA_SSL;/m],
    [
      { KAFKA_SSL: 'true', KAFKA_SSL_CERT_FILE: pem },
      /^KAFKA_SSL_CERT_FILE: .* KAFKA_SSL_KEY_FILE; set both$/m,
    ],
    [
      { KAFKA_SSL: 'true', KAFKA_SSL_KEY_FILE: pem },
      /^KAFKA_SSL_KEY_FILE: .* KAFKA_SSL_CERT_FILE; set both$/m,
    ],
    [
      { KAFKA_SSL: 'true', KAFKA_SSL_CA_FILE: '/nonexistent/ca.pem' },
      /^KAFKA_SSL_CA_FILE: "\/nonexistent\/ca\.pem" cannot be read: there is no such file; name a file/m,
    ],
    [
      { KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: 'p' },
      /^KAFKA_SASL_USERNAME: .* KAFKA_SASL_MECHANISM;/m,
    ],
    [{ KAFKA_SASL_PASSWORD: 'p' }, /^KAFKA_SASL_PASSWORD: .* KAFKA_SASL_MECHANISM;/m],
    [{ SCHEMA_REGISTRY_PASSWORD: 'p' }, /^SCHEMA_REGISTRY_PASSWORD: .* SCHEMA_REGISTRY_USERNAME;/m],
    [{ KAFKA_SASL_MECHANISM: 'plain' }, /^KAFKA_SASL_MECHANISM: .* KAFKA_SASL_USERNAME;/m],
    [
      { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u' },
      /^KAFKA_SASL_USERNAME: .* KAFKA_SASL_PASSWORD;/m,
    ],
  ])('refuses a half of TLS or of a login: %j', (environment: Record<string, string>, why) => {
    expect(refusal(environment)).toMatch(why)
  })

  it('takes the whole of them, and a word that there is to be no TLS', () => {
    const tls = { KAFKA_SSL_CA_FILE: pem, KAFKA_SSL_CERT_FILE: pem, KAFKA_SSL_KEY_FILE: pem }
    const login = { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: 'p' }
    expect(readConfig({ KAFKA_SSL: 'true', ...tls, ...login })).toMatchObject({ KAFKA_SSL: true, ...login })
    expect(readConfig({ KAFKA_SSL: 'false', ...tls })).toMatchObject({ KAFKA_SSL: false })
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

  it.each([
    'postgres://:SECRET@db/x',
    'postgres://embudo:SECRET@db:5432/embudo?sslmode=require',
    'postgres://db/x?user=embudo&password=SECRET',
    'postgres://embudo@db/x?sslpassword=SECRET#a',
    'postgres://embudo:SECRET@one:5432,two:5432/x?password=SECRET',
    'postgres://embudo:a@SECRET/b#SECRET@db/x',
    'http://embudo:SECRET/b@ch:8123',
    'http://ch:8123/?Password=SECRET&access_token=SECRET',
    'embudo:SECRET@broker:9092',
  ])('shows no address with the password in it: %s', (address) => {
    const secret = 'correct-horse'
    const environment = { DATABASE_URL: address.replaceAll('SECRET', secret), EMBUDO_PORT: 'x' }
    expect(withoutPassword(environment.DATABASE_URL)).not.toMatch(/correct|horse/)
    expect(JSON.stringify(describeConfig(environment))).not.toMatch(/correct|horse/)
    expect(refusal(environment)).not.toMatch(/correct|horse/)
  })

  it('shows the rest of an address as it is', () => {
    expect(withoutPassword('http://embudo:x@ch:8123')).toBe('http://embudo:***@ch:8123')
    expect(withoutPassword('postgres://embudo:x@db:5432/a?b=c')).toBe('postgres://embudo:***@db:5432/a?b=c')
    for (const whole of ['http://CH:8123', 'postgres://embudo@db/x?b=c%20d', 'a:9092,[::1]:9093', 'info', ''])
      expect(withoutPassword(whole)).toBe(whole)
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
