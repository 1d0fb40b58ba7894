import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, inject } from 'vitest'
import { kafkaLog } from '../../src/log/kafka-log.ts'
import { logContract, patience } from './log.contract.ts'

const brokers = [inject('parts').kafkaBrokers]
const admin = new Kafka({ brokers, clientId: 'contract', logLevel: logLevel.NOTHING }).admin()
beforeAll(() => admin.connect())
afterAll(() => admin.disconnect())

logContract('the log on Kafka', {
  open: (options) => kafkaLog({ brokers, clientId: 'contract', ...patience, ...options }),
  trim: async (topic, partition, start) => {
    await admin.fetchTopicOffsets(topic) // kafkajs asks for the leaders here, and not below
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(start) }] })
  },
  recreate: async (topic, partitions) => {
    await admin.deleteTopics({ topics: [topic] })
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true })
  },
  isGoneBetween: true,
  groupOffsets: async (groupId, topic) => {
    const [found] = await admin.fetchOffsets({ groupId, topics: [topic] })
    const known = found!.partitions.filter(({ offset }) => offset !== '-1')
    return new Map(known.map(({ partition, offset }) => [partition, Number(offset)]))
  },
})
