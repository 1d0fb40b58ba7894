import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { fetchArtifacts } from './artifacts.ts'
import { classArchive } from './class-archive.ts'
import { requireJava } from './java.ts'
import type { PartOptions, StartedPart } from './part.ts'
import { untilReady } from './readiness.ts'
import { startTethered } from './tethered-process.ts'

/** Apache Kafka as one process that is broker and controller, on loopback. */
export async function startKafka(options: PartOptions): Promise<StartedPart> {
  const javaVersion = await requireJava(options.environment)
  const libs = await fetchArtifacts('kafka', options)
  const folder = join(options.dataDir, 'kafka')
  await mkdir(folder, { recursive: true })
  const properties = join(folder, 'server.properties')
  await writeFile(properties, serverProperties(join(folder, 'log'), options.ports))

  const java = [
    '-cp',
    join(libs, '*'),
    `-Dlog4j2.configurationFile=${join(import.meta.dirname, 'log4j2.xml')}`,
  ]
  if (await isMissing(join(folder, 'log', 'meta.properties'))) {
    options.progress('preparing its storage')
    const format = [
      'kafka.tools.StorageTool',
      'format',
      `--cluster-id=${clusterId()}`,
      `--config=${properties}`,
    ]
    const args = ['-XX:TieredStopAtLevel=1', ...java, ...format]
    await promisify(execFile)('java', args, { env: { ...options.environment }, signal: options.signal })
  }

  const archive = await classArchive({ cacheDir: options.cacheDir, name: 'kafka', javaVersion })
  const args = ['-Xmx512m', ...archive.flags, ...java, 'kafka.Kafka', properties]
  const process = await startTethered({ ...options, command: 'java', args, cwd: folder })
  await options.started(process)
  const address = `127.0.0.1:${options.ports.kafka}`
  await untilReady({ ...options, part: 'Kafka', process, ask: () => askForCluster(address) })
  return { address, process, afterStop: archive.keep }
}

/** 16 bytes in base64, not beginning with a dash: Kafka's tools would take it for an option. */
function clusterId(): string {
  const bytes = randomBytes(16)
  bytes[0] = 0
  return bytes.toString('base64url')
}

const isMissing = (path: string) =>
  access(path).then(
    () => false,
    () => true,
  )

/** Metadata with a controller in it: the port alone opens before the broker serves. */
async function askForCluster(address: string): Promise<void> {
  const kafka = new Kafka({
    brokers: [address],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1000,
    requestTimeout: 2000,
    retry: { retries: 0 },
  })
  const admin = kafka.admin()
  try {
    await admin.connect()
    const { brokers, controller } = await admin.describeCluster()
    if (brokers.length === 0 || controller === null) throw new Error('no broker has registered yet')
  } finally {
    await admin.disconnect()
  }
}

/**
 * Settings for one broker on a laptop. Durability is left as it is in production; what differs is replication
 * (there is one broker), the number of partitions of the internal topics and the log cleaner's buffer (128 MB of
 * a heap of 512 by default). After `kill -9` the broker may register only when its former self's session has run
 * out: five seconds in place of nine.
 */
const serverProperties = (logDir: string, ports: PartOptions['ports']) => `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${ports.kafkaController}
listeners=PLAINTEXT://127.0.0.1:${ports.kafka},CONTROLLER://127.0.0.1:${ports.kafkaController}
advertised.listeners=PLAINTEXT://127.0.0.1:${ports.kafka}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${logDir}
auto.create.topics.enable=false
num.partitions=1
log.retention.ms=-1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=5000
broker.heartbeat.interval.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
log.cleaner.dedupe.buffer.size=16777216
`
