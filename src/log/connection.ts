import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import Connection from 'kafkajs/src/network/connection.js'
import { requests } from 'kafkajs/src/protocol/requests/index.js'
import { EmbudoError, messageOf } from '../define/error.ts'
import { AnswerReader } from './answer-reader.ts'
import type { LogClock, LogNotes } from './clock.ts'
import { int16, int32, string } from './wire.ts'

export interface ConnectionOptions {
  readonly clientId: string
  /** As `tls.connect` takes it; true for its defaults. */
  readonly ssl?: boolean | object
  /** As kafkajs takes it: mechanism (plain, scram-sha-256, scram-sha-512, oauthbearer, aws) and credentials. */
  readonly sasl?: object
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
}

export interface Api {
  readonly key: number
  readonly name: string
  readonly version: number
}

/**
 * One authenticated connection to one broker. kafkajs connects, authenticates and matches answers to requests;
 * what it does wrong or slowly is replaced: its timers, its timeouts, and the copies of large requests.
 */
export class BrokerConnection {
  readonly #connection: Connection
  readonly #options: ConnectionOptions
  readonly #clock: LogClock
  /** Requests whose answers are read on the spot; what kafkajs reads, it reads later. */
  readonly #onTheSpot = new Set<number>()
  #isClosed = false

  private constructor(connection: Connection, options: ConnectionOptions, clock: LogClock) {
    this.#connection = connection
    this.#options = options
    this.#clock = clock
    this.#readAnswers()
  }

  static async open(
    address: { readonly host: string; readonly port: number },
    options: ConnectionOptions,
    clock: LogClock,
    notes: LogNotes,
  ): Promise<BrokerConnection> {
    const inner = new Connection({
      ...address,
      clientId: options.clientId,
      ssl: options.ssl === true ? {} : options.ssl || null,
      sasl: options.sasl ? { ...options.sasl } : null,
      connectionTimeout: options.connectTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      enforceRequestTimeout: false,
      socketFactory: openSocket,
      logger: kafkajsLogger(notes),
    })
    withoutIdleTimer(inner)
    const connection = new BrokerConnection(inner, options, clock)
    try {
      await inner.connect()
      const { apiVersions } = await connection.call(requests.ApiVersions.protocol({ version: 2 })(undefined))
      inner.setVersions(Object.fromEntries(apiVersions.map((api) => [api.apiKey, api])))
      inner.setSupportAuthenticationProtocol(true)
      if (options.sasl)
        await connection.#bounded(inner.authenticate(), options.requestTimeoutMs, 'authenticate')
      return connection
    } catch (error) {
      connection.close(toError(error))
      throw connectFailure(error, address)
    }
  }

  get isOpen(): boolean {
    return !this.#isClosed && this.#connection.isConnected()
  }

  /**
   * A request whose body is written here by hand. `read` gets its answer, in memory that is written again once it
   * returns. A request that gets no answer in time ends the connection.
   */
  async request<T>(
    api: Api,
    body: readonly Buffer[],
    read: (answer: Buffer) => T,
    timeoutMs = this.#options.requestTimeoutMs,
  ): Promise<T> {
    const inner = this.#connection
    if (this.#options.sasl && !inner.isAuthenticated()) {
      await this.#bounded(inner.authenticate(), timeoutMs, 'authenticate again')
    }
    const correlationId = inner.nextCorrelationId()
    const head = [int16(api.key), int16(api.version), int32(correlationId), string(this.#options.clientId)]
    const pieces = [...head, ...body]
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    const answered = new Promise<T>((resolve, reject) => {
      if (!this.isOpen)
        throw new EmbudoError('log_unavailable', 'The connection is closed.', { retriable: true })
      inner.requestQueue.push({
        entry: {
          apiKey: api.key,
          apiName: api.name,
          apiVersion: api.version,
          correlationId,
          resolve: ({ payload }) => {
            try {
              resolve(read(payload))
            } catch (error) {
              reject(error)
            }
          },
          reject,
        },
        expectResponse: true,
        requestTimeout: null,
        sendRequest: () => inner.socket && write(inner.socket, [int32(length), ...pieces]),
      })
    })
    this.#onTheSpot.add(correlationId)
    try {
      return await this.#bounded(answered, timeoutMs, api.name)
    } finally {
      this.#onTheSpot.delete(correlationId)
    }
  }

  /** A request that kafkajs writes and reads. Error codes inside the answer are the caller's to judge. */
  async call<T>(protocol: {
    readonly request: object
    readonly response: { decode(payload: Buffer): Promise<T> }
  }): Promise<T> {
    const response = { decode: protocol.response.decode, parse: async (decoded: T) => decoded }
    const sent = this.#connection.send({ request: protocol.request, response })
    return await this.#bounded(sent, this.#options.requestTimeoutMs, 'a request')
  }

  /** Brokers ask for pauses when a quota is passed, and expect the client to keep them (KIP-219). */
  throttle(milliseconds: number): void {
    this.#connection.requestQueue.maybeThrottle(milliseconds)
  }

  close(reason: Error = new EmbudoError('log_closed', 'The connection was closed.')): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#connection.rejectRequests(reason)
    this.#connection.disconnect().catch(() => undefined)
    this.#connection.socket?.destroy()
  }

  /** In place of kafkajs's own reading, which copies what comes in pieces twice. */
  #readAnswers(): void {
    const inner = this.#connection
    const answers = new AnswerReader((answer) => {
      const correlationId = answer.readInt32BE(0)
      const payload = answer.subarray(4)
      inner.requestQueue.fulfillRequest({
        size: answer.length,
        correlationId,
        payload: this.#onTheSpot.has(correlationId) ? payload : Buffer.from(payload),
      })
    })
    const authenticate = inner.processData.bind(inner)
    inner.processData = (chunk) => {
      // While it logs in, kafkajs puts the pieces together: it knows what comes without a length.
      if (inner.authHandlers) return authenticate(Buffer.from(chunk))
      try {
        answers.read(chunk)
      } catch (error) {
        this.close(toError(error))
      }
    }
  }

  async #bounded<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
    let isOver = false
    // A broker answers in order, so whatever waits behind an overdue answer is overdue too.
    const closeAsOverdue = () => {
      if (isOver) return
      this.close(
        new EmbudoError(
          'log_timeout',
          `The broker did not answer ${what} within ${Math.round(timeoutMs)} ms.`,
          {
            retriable: true,
          },
        ),
      )
    }
    // A process that stood still may have the answer and not have read it yet.
    const callOff = this.#clock.after(timeoutMs, () => this.#clock.soon(closeAsOverdue))
    try {
      return await promise
    } finally {
      isOver = true
      callOff()
    }
  }
}

/** Large pieces as they are, and what stands between them in one copy: a batch is not held twice. */
const write = (socket: Socket, pieces: readonly Buffer[]): void => {
  socket.cork()
  let small: Buffer[] = []
  for (const piece of pieces) {
    if (piece.length < LARGE_PIECE_BYTES) {
      small.push(piece)
      continue
    }
    socket.write(Buffer.concat(small))
    socket.write(piece)
    small = []
  }
  if (small.length > 0) socket.write(Buffer.concat(small))
  socket.uncork()
}

const LARGE_PIECE_BYTES = 16 * 1024

const openSocket = ({ host, port, ssl, onConnect }: SocketOptions) => {
  // An address has no server name to check a certificate against by SNI.
  const serverName = /^[\d.]+$|:/.test(host) ? {} : { servername: host }
  const socket = ssl
    ? connectTls({ host, port, ...serverName, ...ssl }, onConnect)
    : connectTcp({ host, port, onread: readingInto(Buffer.allocUnsafeSlow(READ_BYTES), emit) }, onConnect)
  function emit(chunk: Buffer): void {
    socket.emit('data', chunk)
  }
  socket.setNoDelay(true)
  socket.setKeepAlive(true, 60_000)
  return socket
}

/** Always the same memory: each piece is read before the next one comes. */
const readingInto = (buffer: Buffer, emit: (chunk: Buffer) => void) => ({
  buffer,
  callback: (bytes: number) => {
    emit(buffer.subarray(0, bytes))
    return true
  },
})

/** Four times what Node reads at once. */
const READ_BYTES = 256 * 1024

interface SocketOptions {
  readonly host: string
  readonly port: number
  readonly ssl: object | null
  onConnect(): void
}

/**
 * kafkajs asks for a timer after every answer, with a delay that lies in the past: a warning for each on
 * Node 24, and a millisecond timer that never rests. A timer is only needed for requests held back by a throttle.
 */
function withoutIdleTimer({ requestQueue: queue }: Connection): void {
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length === 0 || queue.throttleCheckTimeoutId) return
    queue.throttleCheckTimeoutId = setTimeout(
      () => {
        queue.throttleCheckTimeoutId = null
        queue.checkPendingRequests()
      },
      Math.max(10, queue.throttledUntil - Date.now()),
    )
  }
}

// What kafkajs calls errors are lost connections, which the log waits out: worth a look only when debugging.
const kafkajsLogger = (notes: LogNotes) => {
  const note = (message: string, facts: object = {}) => notes.debug(facts, `kafkajs: ${message}`)
  const logger = { namespace: () => logger, debug() {}, info() {}, warn: note, error: note }
  return logger
}

const toError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

function connectFailure(error: unknown, { host, port }: { host: string; port: number }): EmbudoError {
  const facts = { broker: `${host}:${port}` }
  if (error instanceof Error && error.name === 'KafkaJSSASLAuthenticationError') {
    return new EmbudoError(
      'log_authentication_failed',
      `The broker ${host}:${port} refused the credentials: ${error.message}. Check KAFKA_SASL_*.`,
      { facts, cause: error },
    )
  }
  return new EmbudoError(
    'log_unavailable',
    `No connection to the broker ${host}:${port}: ${messageOf(error)}`,
    {
      facts,
      retriable: true,
      cause: error,
    },
  )
}
