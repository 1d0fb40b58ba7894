/**
 * What the log uses of the insides of kafkajs, typed. The version is pinned (2.2.4) and no longer developed, so
 * these do not move. Nothing outside this folder knows kafkajs.
 */
declare module 'kafkajs/src/protocol/error.js' {
  export const errorCodes: ReadonlyArray<{ type: string; code: number; retriable: boolean; message: string }>
}

declare module 'kafkajs/src/network/connection.js' {
  import type { EventEmitter } from 'node:events'
  import type { Socket } from 'node:net'

  interface QueuedRequest {
    readonly entry: {
      readonly apiKey: number
      readonly apiName: string
      readonly apiVersion: number
      readonly correlationId: number
      resolve(answer: { readonly payload: Buffer }): void
      reject(error: unknown): void
    }
    readonly expectResponse: boolean
    readonly requestTimeout: number | null
    sendRequest(): void
  }

  interface RequestQueue extends EventEmitter {
    readonly pending: readonly unknown[]
    throttledUntil: number
    throttleCheckTimeoutId: NodeJS.Timeout | null
    push(request: QueuedRequest): void
    fulfillRequest(answer: { size: number; correlationId: number; payload: Buffer }): void
    maybeThrottle(milliseconds: number): void
    scheduleCheckPendingRequests(): void
    checkPendingRequests(): void
  }

  class Connection {
    constructor(options: {
      host: string
      port: number
      clientId: string
      logger: Logger
      socketFactory: (options: {
        host: string
        port: number
        ssl: object | null
        onConnect: () => void
      }) => Socket
      requestTimeout: number
      connectionTimeout: number
      enforceRequestTimeout: boolean
      ssl: object | null
      sasl: object | null
      rack?: string | null
    })
    readonly requestQueue: RequestQueue
    readonly socket: Socket | undefined
    /** While it logs in. */
    readonly authHandlers: object | null
    processData(chunk: Buffer): void
    connect(): Promise<boolean>
    disconnect(): Promise<boolean>
    isConnected(): boolean
    isAuthenticated(): boolean
    authenticate(): Promise<void>
    setVersions(versions: Record<number, { minVersion: number; maxVersion: number }>): void
    setSupportAuthenticationProtocol(isSupported: boolean): void
    nextCorrelationId(): number
    rejectRequests(error: Error): void
    send<T>(protocol: {
      request: object
      response: { decode(payload: Buffer): Promise<T>; parse(decoded: T): Promise<T> }
    }): Promise<T>
  }

  interface Logger {
    namespace(name: string): Logger
    debug(message: string, facts?: object): void
    info(message: string, facts?: object): void
    warn(message: string, facts?: object): void
    error(message: string, facts?: object): void
  }

  export default Connection
}

declare module 'kafkajs/src/protocol/requests/index.js' {
  type Protocol<Options, Answer> = (options: Options) => {
    request: object
    response: { decode(payload: Buffer): Promise<Answer> }
  }
  interface Definition<Options, Answer> {
    protocol(choice: { version: number }): Protocol<Options, Answer>
  }

  export const requests: {
    ApiVersions: Definition<
      undefined,
      { apiVersions: ReadonlyArray<{ apiKey: number; minVersion: number; maxVersion: number }> }
    >
    Metadata: Definition<
      { topics: readonly string[]; allowAutoTopicCreation: boolean },
      {
        brokers: ReadonlyArray<{ nodeId: number; host: string; port: number }>
        controllerId: number
        topicMetadata: ReadonlyArray<{
          topicErrorCode: number
          topic: string
          partitionMetadata: ReadonlyArray<{
            partitionErrorCode: number
            partitionId: number
            leader: number
          }>
        }>
      }
    >
    CreateTopics: Definition<
      {
        topics: ReadonlyArray<{
          topic: string
          numPartitions: number
          replicationFactor: number
          configEntries: ReadonlyArray<{ name: string; value: string }>
        }>
        timeout: number
      },
      { topicErrors: ReadonlyArray<{ topic: string; errorCode: number; errorMessage: string | null }> }
    >
    ListOffsets: Definition<
      {
        replicaId: number
        isolationLevel: number
        topics: ReadonlyArray<{
          topic: string
          partitions: ReadonlyArray<{ partition: number; timestamp: number }>
        }>
      },
      {
        responses: ReadonlyArray<{
          topic: string
          partitions: ReadonlyArray<{ partition: number; errorCode: number; offset: string }>
        }>
      }
    >
    GroupCoordinator: Definition<
      { groupId: string },
      { errorCode: number; errorMessage: string | null; coordinator: { nodeId: number } }
    >
    OffsetCommit: Definition<
      {
        groupId: string
        groupGenerationId: number
        memberId: string
        topics: ReadonlyArray<{
          topic: string
          partitions: ReadonlyArray<{ partition: number; offset: number }>
        }>
      },
      {
        responses: ReadonlyArray<{
          topic: string
          partitions: ReadonlyArray<{ partition: number; errorCode: number }>
        }>
      }
    >
    InitProducerId: Definition<
      { transactionalId: string | null; transactionTimeout: number },
      { errorCode: number; producerId: string; producerEpoch: number }
    >
  }
}
