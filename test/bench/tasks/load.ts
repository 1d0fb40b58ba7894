import { connect, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { taskInput, tell } from '../task.ts'
import { linesRequest, singleEventRequest, statusOf } from './requests.ts'

export interface LoadInput {
  readonly port: number
  readonly connections: number
  readonly eventsPerRequest: number
  readonly warmUpMs: number
  readonly measureMs: number
}

export interface LoadResult {
  readonly eventsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers other than 202. */
  readonly failed: number
  /** Events that were answered from the beginning on, warming up included. */
  readonly events: number
}

/** On each connection the next request as soon as the last was answered. */
const { port, connections, eventsPerRequest, warmUpMs, measureMs } = taskInput<LoadInput>()

const requests = Array.from({ length: eventsPerRequest === 1 ? 20_000 : 200 }, (_, at) =>
  eventsPerRequest === 1 ? singleEventRequest(port, at) : linesRequest(port, at, eventsPerRequest),
)
const latencies: number[] = []
let sent = 0
let answered = 0
let failed = 0
let events = 0
const beginAt = performance.now() + warmUpMs
const endAt = beginAt + measureMs

const drive = (socket: Socket): Promise<void> =>
  new Promise((resolve, reject) => {
    let sentAt = 0
    let received = ''
    const send = (): void => {
      sentAt = performance.now()
      socket.write(requests[sent++ % requests.length]!)
    }
    socket.setNoDelay(true)
    socket.on('error', reject)
    socket.on('data', (data) => {
      received += data.toString('latin1')
      const status = statusOf(received)
      if (status === undefined) return
      received = ''
      events += eventsPerRequest
      const now = performance.now()
      if (sentAt >= beginAt && now <= endAt) {
        latencies.push(now - sentAt)
        if (status === 202) answered += 1
        else failed += 1
      }
      if (now < endAt) return send()
      socket.destroy()
      resolve()
    })
    send()
  })

await Promise.all(Array.from({ length: connections }, () => drive(connect({ port, host: '127.0.0.1' }))))
latencies.sort((a, b) => a - b)
const quantile = (share: number): number =>
  latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
tell({
  eventsPerSecond: (answered * eventsPerRequest) / (measureMs / 1000),
  p50Ms: quantile(0.5),
  p99Ms: quantile(0.99),
  failed,
  events,
} satisfies LoadResult)
