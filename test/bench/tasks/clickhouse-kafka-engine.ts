import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { Session } from 'chdb'
import { ownCpuMicros } from '../cpu.ts'
import { type Speed, taskInput, tell } from '../task.ts'

export interface KafkaEngineInput {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly registryUrl: string
  /** For its data: one process at a time may hold it. */
  readonly folder: string
  readonly consumers: number
  readonly records: number
  readonly measureMs: number
}

/**
 * ClickHouse and nothing else: its Kafka engine reads the topic, a materialized view writes what comes into a table.
 * Timed from the view's creation to the last row. It flushes as often as the sink does: with its own 7.5 seconds
 * the last rows would wait longer than all others take.
 */
const { brokers, topic, registryUrl, folder, consumers, records, measureMs } = taskInput<KafkaEngineInput>()
const session = new Session(folder)
const run = (sql: string): string => session.query(sql, 'TabSeparated')

const columns = 'leadId String, webinarId String, attendanceDuration Int64, engagementScore Nullable(Float64)'
run('CREATE DATABASE bench')
run(`CREATE TABLE bench.events (event_id String, time String, partition UInt64, offset UInt64, ${columns})
     ENGINE = MergeTree ORDER BY (leadId, time)`)
run(`CREATE TABLE bench.queue (${columns}) ENGINE = Kafka SETTINGS kafka_broker_list = '${brokers.join(',')}',
     kafka_topic_list = '${topic}', kafka_group_name = 'kafka-engine-${process.pid}', kafka_format = 'AvroConfluent',
     format_avro_schema_registry_url = '${registryUrl}', kafka_num_consumers = ${consumers},
     kafka_thread_per_consumer = 1, kafka_flush_interval_ms = 1000`)

const begun = process.cpuUsage()
const startedAt = performance.now()
run(`CREATE MATERIALIZED VIEW bench.view TO bench.events AS
     SELECT _headers.value[indexOf(_headers.name, 'ce_id')] AS event_id,
            _headers.value[indexOf(_headers.name, 'ce_time')] AS time,
            _partition AS partition, _offset AS offset, * FROM bench.queue`)
let rows = 0
let elapsedMs = 0
while (rows < records && elapsedMs < measureMs) {
  await delay(20)
  rows = Number(run('SELECT count() FROM bench.events'))
  elapsedMs = performance.now() - startedAt
}
tell({ perSecond: rows / (elapsedMs / 1000), cpuMicros: ownCpuMicros(begun, rows) } satisfies Speed)
