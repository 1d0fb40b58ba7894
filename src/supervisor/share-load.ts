import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Siblings } from './siblings.ts'

/**
 * Lets connections move to siblings that have less to do. Who is free when a connection comes takes it, which is
 * fair until many come at once: then one process can have them all, for as long as they stay. A process that is
 * far busier than the mean ends some after their next answer (`connection: close`), and the client's next
 * connection is taken by who is free now.
 */
export const shareLoad = (server: Server, siblings: Siblings, everyMs = 1_000): void => {
  let active = new Set<Socket>()
  let toGiveUp = 0
  let before = performance.eventLoopUtilization()
  server.prependListener('request', ({ socket }, response) => {
    active.add(socket)
    if (toGiveUp === 0) return
    toGiveUp -= 1
    response.shouldKeepAlive = false
  })
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    siblings.tellLoad({ utilization, connections: active.size }, (count) => {
      toGiveUp = count
    })
    before = now
    active = new Set()
  }, everyMs).unref()
  server.once('close', () => clearInterval(timer))
}
