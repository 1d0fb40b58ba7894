import { connect, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { taskInput, tell } from '../task.ts'
import { attendanceAt, workload } from '../workload.ts'

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
}

/**
 * Requests over plain sockets, on each connection the next as soon as the last was answered. An HTTP client
 * library would take more of the two cores than the server that is measured.
 */
const { port, connections, eventsPerRequest, warmUpMs, measureMs } = taskInput<LoadInput>()

const eventText = (index: number): string =>
  JSON.stringify({ type: workload.type, source: 'bench', data: attendanceAt(index) })

const requestText = (at: number): Buffer => {
  const events = Array.from({ length: eventsPerRequest }, (_, index) =>
    eventText(at * eventsPerRequest + index),
  )
  const body = events.join('\n')
  const type = eventsPerRequest === 1 ? 'application/json' : 'application/x-ndjson'
  return Buffer.from(
    `POST /api/events HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

const requests = Array.from({ length: eventsPerRequest === 1 ? 20_000 : 200 }, (_, at) => requestText(at))
const latencies: number[] = []
let sent = 0
let answered = 0
let failed = 0
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

/** Undefined until the answer is whole. */
const statusOf = (text: string): number | undefined => {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return undefined
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head + 2))?.[1]
  if (length === undefined) throw new Error(`an answer without a length: ${text.slice(0, 300)}`)
  return text.length < head + 4 + Number(length) ? undefined : Number(text.slice(9, 12))
}

await Promise.all(Array.from({ length: connections }, () => drive(connect({ port, host: '127.0.0.1' }))))
latencies.sort((a, b) => a - b)
const quantile = (share: number): number =>
  latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0
tell({
  eventsPerSecond: (answered * eventsPerRequest) / (measureMs / 1000),
  p50Ms: quantile(0.5),
  p99Ms: quantile(0.99),
  failed,
} satisfies LoadResult)
