import { readFileSync } from 'node:fs'
import type { Config } from '../config.ts'
import { EmbudoError } from '../define/error.ts'
import { kafkaLog } from '../log/kafka-log.ts'
import type { Log } from '../log/port.ts'
import { addressesOf } from './addresses.ts'

/** The log itself, for commands that need no running program. */
export const openLog = async (config: Config): Promise<Log> => {
  const { kafka } = addressesOf(config)
  if (kafka === undefined) {
    throw new EmbudoError(
      'not_running',
      `no Kafka is known: start everything with \`make up\`, or set KAFKA_BROKERS (nothing runs on ${config.dataDir})`,
      { retriable: true },
    )
  }
  const {
    KAFKA_SASL_MECHANISM: mechanism,
    KAFKA_SASL_USERNAME: username,
    KAFKA_SASL_PASSWORD: password,
  } = config
  return await kafkaLog({
    brokers: kafka.split(','),
    clientId: 'embudo-cli',
    deliveryTimeoutMs: config.EMBUDO_APPEND_TIMEOUT_MS,
    ...(config.KAFKA_SSL ? { ssl: certificates(config) } : {}),
    ...(mechanism === undefined ? {} : { sasl: { mechanism, username, password } }),
  })
}

const certificates = (config: Config): true | object => {
  const files = {
    ca: config.KAFKA_SSL_CA_FILE,
    cert: config.KAFKA_SSL_CERT_FILE,
    key: config.KAFKA_SSL_KEY_FILE,
  }
  const given = Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return given.length === 0
    ? true
    : Object.fromEntries(given.map(([name, path]) => [name, readFileSync(path, 'utf8')]))
}
