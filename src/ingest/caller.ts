import type { IncomingMessage } from 'node:http'

/**
 * Who sends: among callers the room is shared. The remote address; of IPv6 the network, which is what one host is
 * given as a whole.
 */
export const callerOf = (request: IncomingMessage): string => {
  const address = request.socket.remoteAddress ?? ''
  return address.includes(':') ? networkOf(address) : address
}

const networkOf = (address: string): string => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1]!
  const [head = '', tail] = address.split('::')
  const before = head === '' ? [] : head.split(':')
  if (tail === undefined) return before.slice(0, 4).join(':')
  const after = tail === '' ? [] : tail.split(':')
  const zeros: string[] = Array(Math.max(0, 8 - before.length - after.length)).fill('0')
  return [...before, ...zeros, ...after].slice(0, 4).join(':')
}
