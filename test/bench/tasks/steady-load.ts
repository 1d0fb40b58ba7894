import { connect, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { taskInput, tell } from '../task.ts'
import { singleEventRequest, statusOf } from './requests.ts'

export interface SteadyLoadInput {
  readonly port: number
  readonly connections: number
  readonly perSecond: number
  readonly warmUpMs: number
  readonly measureMs: number
}

export interface SteadyLoadResult {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers other than 202. */
  readonly failed: number
}

/**
 * Single events at a fixed rate, whether the server keeps up or not: a latency counts from when the request was
 * due, so that a pause is seen by all that it made wait.
 */
const { port, connections, perSecond, warmUpMs, measureMs } = taskInput<SteadyLoadInput>()
const requests = Array.from({ length: 20_000 }, (_, at) => singleEventRequest(port, at))
const latencies: number[] = []
let failed = 0
let sent = 0
let answered = 0
const free: Socket[] = []
const due: number[] = []
const startedAt = performance.now()
const total = Math.round(((warmUpMs + measureMs) / 1000) * perSecond)
const finished = Promise.withResolvers<void>()

const sendDue = (): void => {
  while (due.length > 0 && free.length > 0) {
    const socket = free.pop()!
    dueOf.set(socket, due.shift()!)
    socket.write(requests[sent++ % requests.length]!)
  }
}
const dueOf = new Map<Socket, number>()

for (let opened = 0; opened < connections; opened++) {
  const socket = connect({ port, host: '127.0.0.1' })
  let received = ''
  socket.setNoDelay(true)
  socket.on('connect', () => {
    free.push(socket)
    sendDue()
  })
  socket.on('error', finished.reject)
  socket.on('data', (data) => {
    received += data.toString('latin1')
    const status = statusOf(received)
    if (status === undefined) return
    received = ''
    const wasDue = dueOf.get(socket)!
    if (wasDue >= startedAt + warmUpMs) {
      latencies.push(performance.now() - wasDue)
      if (status !== 202) failed += 1
    }
    free.push(socket)
    if (++answered === total) finished.resolve()
    sendDue()
  })
}

let planned = 0
const plan = (): void => {
  const now = performance.now()
  for (; planned < total && startedAt + (planned * 1000) / perSecond <= now; planned++) {
    due.push(startedAt + (planned * 1000) / perSecond)
  }
  sendDue()
  if (planned < total) setTimeout(plan, 1)
}
plan()
await finished.promise

const seconds = (performance.now() - startedAt - warmUpMs) / 1000
latencies.sort((a, b) => a - b)
const quantile = (share: number): number => latencies[Math.floor((latencies.length - 1) * share)] ?? 0
tell({
  perSecond: latencies.length / seconds,
  p50Ms: quantile(0.5),
  p99Ms: quantile(0.99),
  failed,
} satisfies SteadyLoadResult)
