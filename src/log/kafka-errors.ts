import { errorCodes } from 'kafkajs/src/protocol/error.js'

/** The answers of a broker that the log treats in a way of their own. */
export const KAFKA = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  messageTooLarge: 10,
  recordListTooLarge: 18,
  topicAlreadyExists: 36,
  notController: 41,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  unknownProducerId: 59,
} as const

export const kafkaErrorName = (code: number): string => KNOWN.get(code)?.type ?? `KAFKA_ERROR_${code}`

/** Codes that kafkajs does not know are newer than it; those that Kafka added since and calls retriable. */
export const isRetriableKafkaError = (code: number): boolean =>
  KNOWN.get(code)?.retriable ?? NEWER_RETRIABLE.has(code)

const KNOWN = new Map(errorCodes.map((error) => [error.code, error]))

// THROTTLING_QUOTA_EXCEEDED, INCONSISTENT_TOPIC_ID, UNKNOWN_TOPIC_ID, FETCH_SESSION_TOPIC_ID_ERROR
const NEWER_RETRIABLE = new Set([89, 100, 103, 106])
