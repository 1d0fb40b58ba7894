import { connect, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { singleEventRequest, statusOf } from './requests.ts'

export interface SteadyRate {
  readonly port: number
  readonly connections: number
  readonly perSecond: number
  readonly warmUpMs: number
  readonly measureMs: number
}

export interface Answer {
  /** By this process's `performance.now()`. */
  readonly dueMs: number
  /** Whether it was due while the server was still to get warm. */
  readonly isWarmUp: boolean
  readonly status: number
  /** Head and body. */
  readonly text: string
}

/**
 * Single events at a fixed rate, whether the server keeps up or not: what is late counts from when it was due, so
 * that a pause is seen by all that it made wait. Ends with the last answer.
 */
export const sendSteadily = async (
  { port, connections, perSecond, warmUpMs, measureMs }: SteadyRate,
  onAnswer: (answer: Answer) => void,
): Promise<void> => {
  const requests = Array.from({ length: 20_000 }, (_, at) => singleEventRequest(port, at))
  const total = Math.round(((warmUpMs + measureMs) / 1000) * perSecond)
  const free: Socket[] = []
  const due: number[] = []
  const dueOf = new Map<Socket, number>()
  let sent = 0
  let answered = 0
  const finished = Promise.withResolvers<void>()

  const sendDue = (): void => {
    while (due.length > 0 && free.length > 0) {
      const socket = free.pop()!
      dueOf.set(socket, due.shift()!)
      socket.write(requests[sent++ % requests.length]!)
    }
  }
  const open = (): Socket => {
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
      const dueMs = dueOf.get(socket)!
      onAnswer({ dueMs, isWarmUp: dueMs < startedAt + warmUpMs, status, text: received })
      received = ''
      free.push(socket)
      if (++answered === total) finished.resolve()
      sendDue()
    })
    return socket
  }
  const startedAt = performance.now()
  const sockets = Array.from({ length: connections }, open)

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
  for (const socket of sockets) socket.destroy()
}
