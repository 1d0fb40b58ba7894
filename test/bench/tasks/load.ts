import { connect, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { taskInput, tell } from '../task.ts'
import { type Latencies, latenciesOf } from './latencies.ts'
import { linesRequest, singleEventRequest, statusOf } from './requests.ts'

export interface LoadInput {
  readonly port: number
  readonly connections: number
  readonly eventsPerRequest: number
  readonly warmUpMs: number
  readonly measureMs: number
}

export interface LoadResult extends Latencies {
  readonly eventsPerSecond: number
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
const answeredIn: number[] = []
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
        answeredIn.push(now - sentAt)
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
tell({
  eventsPerSecond: (answered * eventsPerRequest) / (measureMs / 1000),
  ...latenciesOf(answeredIn),
  failed,
  events,
} satisfies LoadResult)
