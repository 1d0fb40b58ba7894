import { EmbudoError } from '../define/error.ts'

/**
 * A lost or refused connection to a store, or one that starts, stops, fails over or has no room, as what it is to a
 * caller: nothing is wrong with the request, and trying again will do. Undefined for any other error.
 */
export const storeUnavailable = (cause: unknown): EmbudoError | undefined =>
  isOfConnection(cause)
    ? new EmbudoError('store_unavailable', 'a store that this needs cannot be reached; try again', {
        cause,
        retriable: true,
      })
    : undefined

const isOfConnection = (error: unknown): boolean => {
  if (!(error instanceof Error) || error instanceof EmbudoError) return false
  const { code } = error as { code?: unknown }
  if (typeof code === 'string') return postgresCodes.test(code) || systemCodes.test(code)
  return messages.test(error.message)
}

/**
 * https://www.postgresql.org/docs/current/errcodes-appendix.html: of connections, resources, operators, standbys,
 * transactions that stood still for too long, and those that others came between.
 */
const postgresCodes = /^(08...|53...|57...|25006|25P03|25P04|40001|40P01)$/
const systemCodes = /^E(CONN[A-Z]+|PIPE|TIMEDOUT|HOST[A-Z]+|NET[A-Z]+|NOTFOUND|AI_AGAIN|PROTO|MFILE|NFILE)$/
/** pg gives its own errors of connections no code. */
const messages =
  /^Connection terminated|timeout exceeded when trying to connect|^Client has encountered a conn/
