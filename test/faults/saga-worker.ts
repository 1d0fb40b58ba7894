import { Pool } from 'pg'
import enrollment from '../../sagas/enrollment/saga.ts'
import { kafkaLog } from '../../src/log/kafka-log.ts'
import { startWorker } from '../integration/saga/world.ts'

/** A process that runs enrollments until it is killed. Its argument: where, as JSON. */
const { databaseUrl, brokers, prefix } = JSON.parse(process.argv[2]!) as Record<
  'databaseUrl' | 'brokers' | 'prefix',
  string
>
const pool = new Pool({ connectionString: databaseUrl, max: 10 })
const patient = { connectTimeoutMs: 60_000, requestTimeoutMs: 60_000 }
const log = await kafkaLog({ brokers: [brokers], clientId: 'saga-worker', ...patient })
await startWorker({
  sagas: [enrollment],
  pool,
  log,
  prefix,
  leaseMs: 2_000,
  within: { 'enrollment.take_payment': 600_000 },
})
process.send?.('started')
