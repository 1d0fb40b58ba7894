import { requests } from 'kafkajs/src/protocol/requests/index.js'
import { EmbudoError, messageOf } from '../define/error.ts'
import type { LogClock, LogNotes } from './clock.ts'
import { BrokerConnection, type ConnectionOptions } from './connection.ts'
import { KAFKA } from './kafka-errors.ts'

export interface ClusterOptions extends ConnectionOptions {
  /** host:port of the brokers to ask first. */
  readonly brokers: readonly string[]
}

export interface ClusterParts {
  readonly clock: LogClock
  readonly random: () => number
  readonly notes: LogNotes
}

/** What is known of a partition's leader: its node, that there is none now, or that there is no such partition. */
export type Leader = number | 'none' | 'unknown partition' | 'not asked'

/** Who the brokers are and which of them leads which partition, asked when needed and after errors. */
export class Cluster {
  readonly #options: ClusterOptions
  readonly #parts: ClusterParts
  readonly #addresses = new Map<number, Address>()
  /** The leader of each partition by its number; empty for a topic that does not exist. */
  readonly #leaders = new Map<string, readonly number[]>()
  readonly #control: Connections
  #bootstrap: BrokerConnection | undefined
  #refreshing: { readonly topics: ReadonlySet<string>; readonly done: Promise<void> } | undefined
  #controllerId = -1

  constructor(options: ClusterOptions, parts: ClusterParts) {
    this.#options = options
    this.#parts = parts
    this.#control = this.connections()
  }

  leaderOf(topic: string, partition: number): Leader {
    const leaders = this.#leaders.get(topic)
    if (leaders === undefined) return 'not asked'
    const leader = leaders[partition]
    if (leader === undefined) return 'unknown partition'
    return leader >= 0 && this.#addresses.has(leader) ? leader : 'none'
  }

  /** How many partitions the topic has, by the latest answer; 0 where it does not exist. */
  partitionsOf(topic: string): number {
    return this.#leaders.get(topic)?.length ?? 0
  }

  /** Asks for the leaders of these topics, and of no others; calls at the same time share one request. */
  async refresh(topics: readonly string[]): Promise<void> {
    const under = this.#refreshing
    if (under) {
      if (topics.every((topic) => under.topics.has(topic))) return await under.done
      await under.done.catch(() => undefined)
      return await this.refresh(topics)
    }
    const done = this.#askMetadata(topics).finally(() => {
      this.#refreshing = undefined
    })
    this.#refreshing = { topics: new Set(topics), done }
    await done
  }

  /** An open connection to whichever broker answers. */
  async anyBroker(): Promise<BrokerConnection> {
    if (this.#bootstrap?.isOpen) return this.#bootstrap
    const open = this.#control.open()
    if (open) return open
    const failures: string[] = []
    for (const nodeId of this.#addresses.keys()) {
      try {
        return await this.#control.to(nodeId)
      } catch (error) {
        failures.push(messageOf(error))
      }
    }
    for (const broker of this.#options.brokers) {
      try {
        this.#bootstrap = await this.openTo(parseAddress(broker))
        return this.#bootstrap
      } catch (error) {
        if (error instanceof EmbudoError && !error.retriable) throw error
        failures.push(messageOf(error))
      }
    }
    throw new EmbudoError('log_unavailable', `Kafka cannot be reached. ${failures.join(' ')}`, {
      facts: { brokers: this.#options.brokers },
      retriable: true,
    })
  }

  /** The connection for administration to one broker. */
  async control(nodeId: number): Promise<BrokerConnection> {
    return await this.#control.to(nodeId)
  }

  /** The broker that makes topics. */
  async controller(): Promise<BrokerConnection> {
    return this.#addresses.has(this.#controllerId)
      ? await this.#control.to(this.#controllerId)
      : await this.anyBroker()
  }

  /** Asks a broker something that every broker can answer. */
  async ping(): Promise<void> {
    const broker = await this.anyBroker()
    await broker.call(requests.ApiVersions.protocol({ version: 2 })(undefined))
  }

  /** A set of connections of its own, one to each broker, so that its owner waits behind nobody else. */
  connections(): Connections {
    return new Connections((nodeId) => {
      const address = this.#addresses.get(nodeId)
      if (address) return this.openTo(address)
      const message = `The broker ${nodeId} has left the cluster.`
      return Promise.reject(
        new EmbudoError('log_unavailable', message, { facts: { nodeId }, retriable: true }),
      )
    })
  }

  async openTo(address: Address): Promise<BrokerConnection> {
    return await BrokerConnection.open(address, this.#options, this.#parts.clock, this.#parts.notes)
  }

  close(): void {
    this.#bootstrap?.close()
    this.#control.close()
  }

  async #askMetadata(topics: readonly string[]): Promise<void> {
    const broker = await this.anyBroker()
    const ask = requests.Metadata.protocol({ version: 6 })
    const answer = await broker.call(ask({ topics, allowAutoTopicCreation: false }))
    this.#addresses.clear()
    for (const { nodeId, host, port } of answer.brokers) this.#addresses.set(nodeId, { host, port })
    this.#controllerId = answer.controllerId
    for (const { topic, topicErrorCode, partitionMetadata } of answer.topicMetadata) {
      if (topicErrorCode === KAFKA.none) {
        const leaders: number[] = Array(partitionMetadata.length).fill(-1)
        for (const { partitionId, leader } of partitionMetadata) leaders[partitionId] = leader
        this.#leaders.set(topic, leaders)
      } else if (topicErrorCode === KAFKA.unknownTopicOrPartition) {
        this.#leaders.set(topic, [])
      }
    }
  }
}

interface Address {
  readonly host: string
  readonly port: number
}

/** One connection to each broker, opened when asked for and again after it was lost. */
export class Connections {
  readonly #opened = new Map<number, BrokerConnection>()
  readonly #opening = new Map<number, Promise<BrokerConnection>>()
  readonly #openTo: (nodeId: number) => Promise<BrokerConnection>
  #isClosed = false

  constructor(openTo: (nodeId: number) => Promise<BrokerConnection>) {
    this.#openTo = openTo
  }

  async to(nodeId: number): Promise<BrokerConnection> {
    const opened = this.#opened.get(nodeId)
    if (opened?.isOpen) return opened
    const opening = this.#opening.get(nodeId) ?? this.#open(nodeId)
    this.#opening.set(nodeId, opening)
    return await opening
  }

  open(): BrokerConnection | undefined {
    return this.#opened.values().find((connection) => connection.isOpen)
  }

  close(): void {
    this.#isClosed = true
    for (const connection of this.#opened.values()) connection.close()
  }

  async #open(nodeId: number): Promise<BrokerConnection> {
    try {
      this.#opened.get(nodeId)?.close()
      const connection = await this.#openTo(nodeId)
      if (this.#isClosed) connection.close()
      this.#opened.set(nodeId, connection)
      return connection
    } finally {
      this.#opening.delete(nodeId)
    }
  }
}

function parseAddress(broker: string): Address {
  const parts = /^\[?(?<host>.+?)\]?:(?<port>\d+)$/.exec(broker)?.groups
  if (parts?.host && parts.port) return { host: parts.host, port: Number(parts.port) }
  throw new EmbudoError('log_address_invalid', `"${broker}" is no address of a broker: write host:port.`)
}
