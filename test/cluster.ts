import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { promisify } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { fetchArtifacts } from '../src/embedded/artifacts.ts'
import { requireJava } from '../src/embedded/java.ts'
import { startTethered, type TetheredProcess } from '../src/embedded/tethered-process.ts'
import { lastingPorts } from './ports.ts'
import { until } from './processes.ts'

const nodes = [1, 2, 3] as const
/** Three JVMs that start side by side. */
const patienceMs = 240_000
export type NodeId = (typeof nodes)[number]

interface Ports {
  readonly broker: number
  readonly controller: number
}

/**
 * Kafka as three processes on this machine, each of them broker and controller, replicating as production does:
 * three copies of everything, two of them in sync before anything is acknowledged. They end with this process.
 */
export class Cluster implements AsyncDisposable {
  readonly #dataDir: string
  readonly #libs: string
  readonly #ports: Readonly<Record<NodeId, Ports>>
  readonly #running = new Map<NodeId, TetheredProcess>()

  static async start(): Promise<Cluster> {
    await requireJava(env)
    const { XDG_CACHE_HOME: caches = join(homedir(), '.cache') } = env
    const cacheDir = join(caches, 'embudo')
    const libs = await fetchArtifacts('kafka', { cacheDir, environment: env, progress: () => {} })
    const dataDir = await mkdtemp(join(tmpdir(), 'embudo-cluster-'))
    const cluster = new Cluster(dataDir, libs, await choosePorts())
    try {
      await cluster.#format()
      await Promise.all(nodes.map((node) => cluster.#launch(node)))
      await cluster.untilComplete()
      return cluster
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
  }

  private constructor(dataDir: string, libs: string, ports: Readonly<Record<NodeId, Ports>>) {
    this.#dataDir = dataDir
    this.#libs = libs
    this.#ports = ports
  }

  /** host:port of each, as KAFKA_BROKERS takes them. */
  get addresses(): string {
    return nodes.map((node) => this.#address(node)).join(',')
  }

  /** kill -9. */
  async kill(node: NodeId): Promise<void> {
    const running = this.#running.get(node)
    if (running === undefined) throw new Error(`node ${node} does not run`)
    process.kill(running.pid, 'SIGKILL')
    await running.exited
    this.#running.delete(node)
  }

  /** Asks it to stop: it hands over what it leads first. */
  async stop(node: NodeId): Promise<void> {
    await this.#running.get(node)?.stop()
    this.#running.delete(node)
  }

  async start(node: NodeId): Promise<void> {
    await this.#launch(node)
    await this.untilComplete()
  }

  /** Every broker is there and every replica of every partition in sync. */
  async untilComplete(): Promise<void> {
    await this.#withAdmin(async (admin) => {
      const isComplete = async () => {
        try {
          const { brokers } = await admin.describeCluster()
          const { topics } = await admin.fetchTopicMetadata()
          const partitions = topics.flatMap((topic) => topic.partitions)
          return (
            brokers.length === nodes.length &&
            partitions.every(({ isr, replicas }) => isr.length === replicas.length)
          )
        } catch {
          return false
        }
      }
      await until('every replica is in sync', isComplete, patienceMs)
    })
  }

  /** How many partitions of the topic each node leads. */
  async leadersOf(topic: string): Promise<ReadonlyMap<number, number>> {
    return await this.#withAdmin(async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const leaders = topics.flatMap(({ partitions }) => partitions.map(({ leader }) => leader))
      return new Map(
        [...Map.groupBy(leaders, (leader) => leader)].map(([leader, led]) => [leader, led.length]),
      )
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // At once: one alone could not hand over what it leads, and would wait.
    await Promise.all([...this.#running.keys()].map((node) => this.kill(node)))
    await rm(this.#dataDir, { recursive: true, force: true })
  }

  async #format(): Promise<void> {
    // Not beginning with a dash, which would be taken for an option.
    const id = Buffer.concat([Buffer.from([0]), randomBytes(15)]).toString('base64url')
    await Promise.all(
      nodes.map(async (node) => {
        await mkdir(this.#folder(node), { recursive: true })
        await writeFile(this.#properties(node), this.#settings(node))
        const args = [
          'kafka.tools.StorageTool',
          'format',
          `--cluster-id=${id}`,
          `--config=${this.#properties(node)}`,
        ]
        await promisify(execFile)('java', ['-XX:TieredStopAtLevel=1', '-cp', join(this.#libs, '*'), ...args])
      }),
    )
  }

  async #launch(node: NodeId): Promise<void> {
    const flags = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', join(this.#libs, '*')]
    const process = await startTethered({
      command: 'java',
      args: [...flags, 'kafka.Kafka', this.#properties(node)],
      environment: env,
      cwd: this.#folder(node),
      logFile: join(this.#folder(node), 'node.log'),
    })
    this.#running.set(node, process)
  }

  async #withAdmin<T>(use: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
    const brokers = this.addresses.split(',')
    const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING, requestTimeout: 30_000 }).admin()
    const isConnected = () =>
      admin.connect().then(
        () => true,
        () => false,
      )
    await until('a broker answers', isConnected, patienceMs)
    try {
      return await use(admin)
    } finally {
      await admin.disconnect()
    }
  }

  #address = (node: NodeId): string => `127.0.0.1:${this.#ports[node].broker}`
  #folder = (node: NodeId): string => join(this.#dataDir, String(node))
  #properties = (node: NodeId): string => join(this.#folder(node), 'server.properties')

  #settings(node: NodeId): string {
    const { controller } = this.#ports[node]
    const voters = nodes.map((voter) => `${voter}@127.0.0.1:${this.#ports[voter].controller}`)
    return `process.roles=broker,controller
node.id=${node}
controller.quorum.voters=${voters.join(',')}
listeners=PLAINTEXT://${this.#address(node)},CONTROLLER://127.0.0.1:${controller}
advertised.listeners=PLAINTEXT://${this.#address(node)}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${join(this.#folder(node), 'log')}
auto.create.topics.enable=false
log.retention.ms=-1
default.replication.factor=3
min.insync.replicas=2
unclean.leader.election.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=5000
broker.heartbeat.interval.ms=1000
replica.lag.time.max.ms=5000
offsets.topic.replication.factor=3
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
share.coordinator.state.topic.num.partitions=4
log.cleaner.dedupe.buffer.size=16777216
`
  }
}

const choosePorts = async (): Promise<Record<NodeId, Ports>> => {
  const ports = await lastingPorts(2 * nodes.length)
  return Object.fromEntries(
    nodes.map((node, at) => [node, { broker: ports[2 * at]!, controller: ports[2 * at + 1]! }]),
  ) as Record<NodeId, Ports>
}
