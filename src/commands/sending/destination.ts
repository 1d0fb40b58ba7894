import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CommandContext } from '../context.ts'

/**
 * Where events go, as `.sending.json` keeps it. Of this machine's own program also which log it is: what was sent
 * into a data folder that was removed since was not sent into the one that took its place.
 */
export const destinationOf = (
  url: string | undefined,
  { config }: Pick<CommandContext, 'config'>,
): string => {
  if (url !== undefined) return url
  const { KAFKA_BROKERS, dataDir } = config()
  const log = KAFKA_BROKERS === undefined ? clusterIn(dataDir) : String(KAFKA_BROKERS)
  return log === undefined ? 'this machine' : `this machine, log ${log}`
}

/** The id that Kafka gave itself when its folder was made. */
const clusterIn = (dataDir: string): string | undefined => {
  try {
    const properties = readFileSync(join(dataDir, 'kafka', 'log', 'meta.properties'), 'utf8')
    return /^cluster\.id=(.+)$/m.exec(properties)?.[1]?.trim()
  } catch {
    return undefined
  }
}
