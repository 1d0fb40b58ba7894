import { expect, it } from 'vitest'
import { noNotes, systemClock } from '../../../src/log/clock.ts'
import type { Cluster } from '../../../src/log/cluster.ts'
import { encodeBatch } from '../../../src/log/encode-batch.ts'
import { KafkaReader } from '../../../src/log/kafka-reader.ts'
import { writeInt64 } from '../../../src/log/record-batch.ts'
import { int16, int32, int64, string } from '../../../src/log/wire.ts'
import { until } from '../../processes.ts'

/** Two records that stand from `baseOffset` on. */
const batch = (baseOffset: number): Buffer => {
  const record = { key: Buffer.from('k'), value: Buffer.from(`at ${baseOffset}`), headers: [] }
  const bytes = encodeBatch([record, record], 1_000)
  writeInt64(bytes, baseOffset, 0)
  return bytes
}

/** A broker's answer to a fetch of one partition. */
const answer = (partition: number, ...batches: readonly Buffer[]): Buffer => {
  const bytes = Buffer.concat(batches)
  return Buffer.concat([
    ...[int32(0), int16(0), int32(0, 1), string('leads'), int32(1), int32(partition), int16(0)],
    ...[int64(100), int64(100), int64(0), int32(0, -1, bytes.length), bytes],
  ])
}

it('a partition whose leader is gone for a moment, with a fetch under way, is the same log afterwards', async () => {
  let leader: number | 'none' = 1
  const asked: ((bytes: Buffer) => void)[] = []
  const connection = {
    request: (_api: unknown, _body: unknown, read: (bytes: Buffer) => unknown) =>
      new Promise((resolve) => asked.push((bytes) => resolve(read(bytes)))),
    throttle: () => {},
  }
  let lookedUp = 0
  const cluster = {
    leaderOf: () => leader,
    refresh: async () => void lookedUp++,
    connections: () => ({ to: async () => connection, close: () => {} }),
  } as unknown as Cluster
  const parts = { clock: systemClock, random: () => 0, notes: noNotes }
  const options = { requestTimeoutMs: 60_000, checkCrc: true }
  await using reader = new KafkaReader(cluster, options, parts, () => {})
  const stop = new AbortController()
  const found: number[] = []
  const reading = (async () => {
    for await (const { records } of reader.read('leads', 0, 0, stop.signal))
      found.push(...records.map(({ offset }) => offset))
  })()

  await until('the first is asked for', () => asked.length === 1)
  asked[0]!(answer(0, batch(0)))
  await until('the next is asked for', () => asked.length === 2 && found.length === 2)
  leader = 'none'
  const other = reader.read('leads', 1, 0, stop.signal)[Symbol.asyncIterator]()
  const waiting = other.next()
  await until('the leader is looked for', () => lookedUp > 0)
  asked[1]!(answer(0, batch(2)))
  leader = 1
  await until('it is asked again', () => asked.length > 2)
  asked[2]!(answer(0, batch(0), batch(2)))
  await until('what came meanwhile is read', () => found.length > 2)
  expect(found).toEqual([0, 1, 2, 3])
  stop.abort()
  await Promise.all([reading, waiting])
})
