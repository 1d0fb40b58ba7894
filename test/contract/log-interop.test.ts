import { CompressionTypes, Kafka, logLevel, Partitioners } from 'kafkajs'
import { describe, expect, inject, it } from 'vitest'
import { kafkaLog } from '../../src/log/kafka-log.ts'
import { partitionFor } from '../../src/log/partitioner.ts'
import type { Compression } from '../../src/log/record-batch.ts'
import { until } from '../processes.ts'
import { isFailure, newTopic, patience, readAll } from './log.contract.ts'

const brokers = [inject('parts').kafkaBrokers]
const other = new Kafka({ brokers, clientId: 'interop', logLevel: logLevel.NOTHING })

describe('beside another client of Kafka', () => {
  it.each<Compression>(['none', 'gzip'])(
    'what is appended with compression %s is read by it',
    async (compression) => {
      await using log = await kafkaLog({ brokers, clientId: 'interop', compression, ...patience })
      const topic = await newTopic(log, 2)
      const records = Array.from({ length: 300 }, (_, i) => ({
        topic,
        partition: i % 2,
        key: Buffer.from(`key ${i}`),
        value: Buffer.from([0, i & 0xff, 255]),
        headers: [
          ['ce_id', `${i}`],
          ['ce_source', 'Zürich ✓'],
        ] as const,
      }))
      const outcomes = await log.append(records)
      expect(outcomes.filter(isFailure)).toEqual([])

      const seen = new Map<string, unknown>()
      const consumer = other.consumer({ groupId: topic })
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({
        eachMessage: async ({ partition, message }) => {
          const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)])
          const { key, value } = message
          seen.set(`${partition}/${message.offset}`, { key, value, headers })
        },
      })
      await until('all are read', () => seen.size === 300)
      await consumer.disconnect()

      records.forEach(({ partition, key, value, headers }, i) => {
        const place = outcomes[i]
        expect(place).toMatchObject({ topic, partition })
        expect(seen.get(`${partition}/${Math.floor(i / 2)}`)).toEqual({
          key,
          value,
          headers: headers.map((each) => [...each]),
        })
      })
    },
  )

  it.each([CompressionTypes.None, CompressionTypes.GZIP])(
    'what it appends with codec %i is read, placed as the partitioner says',
    async (compression) => {
      await using log = await kafkaLog({ brokers, clientId: 'interop', ...patience })
      const topic = await newTopic(log, 3)
      const producer = other.producer({ createPartitioner: Partitioners.DefaultPartitioner })
      await producer.connect()
      const keys = Array.from({ length: 200 }, (_, i) => `lead-${i}`)
      const timestamp = Date.now() - 60_000
      await producer.send({
        topic,
        compression,
        messages: keys.map((key, i) => ({
          key,
          value: i % 10 === 0 ? null : `value of ${key}`,
          headers: { ce_id: `${i}`, 'content-type': 'application/avro' },
          timestamp: String(timestamp + i),
        })),
      })
      await producer.disconnect()

      for (const partition of [0, 1, 2]) {
        const expected = keys.filter((key) => partitionFor(Buffer.from(key), 3) === partition)
        const records = await readAll(log, topic, partition)
        expect(records.map(({ key }) => String(key))).toEqual(expected)
        for (const record of records) {
          const i = keys.indexOf(String(record.key))
          expect(record.value === null ? null : String(record.value)).toBe(
            i % 10 === 0 ? null : `value of lead-${i}`,
          )
          expect(record.timestamp).toBe(timestamp + i)
          expect(record.header('content-type')).toBe('application/avro')
          expect(record.headers()).toEqual({ ce_id: `${i}`, 'content-type': 'application/avro' })
        }
      }
    },
  )
})
