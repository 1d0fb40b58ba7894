import { createServer, type Server } from 'node:net'
import type { Config } from '../config.ts'
import { EmbudoError } from '../define/error.ts'

type Listening = Pick<Config, 'EMBUDO_HOST' | 'EMBUDO_PORT'>

/** The address that it listens on then. Throws `cannot_listen`. */
export const listen = async (server: Server, config: Listening): Promise<string> => {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(cannotListen(config, cause)))
    server.listen(config.EMBUDO_PORT, config.EMBUDO_HOST, resolve)
  })
  const at = server.address()
  const port = typeof at === 'object' && at !== null ? at.port : config.EMBUDO_PORT
  const host = config.EMBUDO_HOST.includes(':') ? `[${config.EMBUDO_HOST}]` : config.EMBUDO_HOST
  return `http://${host}:${port}`
}

/** Throws `cannot_listen` now rather than after everything else has been started. */
export const requireFreePort = async (config: Listening): Promise<void> => {
  const server = createServer()
  await listen(server, config)
  await new Promise((resolve) => server.close(resolve))
}

const cannotListen = (config: Listening, cause: NodeJS.ErrnoException): EmbudoError =>
  new EmbudoError(
    'cannot_listen',
    cause.code === 'EADDRINUSE'
      ? `port ${config.EMBUDO_PORT} on ${config.EMBUDO_HOST} is taken: stop what listens there, or set EMBUDO_PORT`
      : `cannot listen on ${config.EMBUDO_HOST}:${config.EMBUDO_PORT}: ${cause.message}`,
    { cause },
  )
