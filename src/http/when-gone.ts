import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Calls back once: when the answer has left, or its connection has. Of an answer that waits behind others on a
 * pipelined connection only the connection's end is told, and that by one listener for all of them.
 */
export const whenGone = (response: ServerResponse, then: () => void): void => {
  const { socket } = response.req
  if (socket.destroyed) return void then()
  const waiting = waitingOn.get(socket) ?? watched(socket)
  const gone = () => {
    if (waiting.delete(gone)) then()
  }
  waiting.add(gone)
  response.once('close', gone)
}

const watched = (socket: Socket): Set<() => void> => {
  const waiting = new Set<() => void>()
  waitingOn.set(socket, waiting)
  socket.once('close', () => {
    for (const gone of waiting) gone()
  })
  return waiting
}

const waitingOn = new WeakMap<Socket, Set<() => void>>()
