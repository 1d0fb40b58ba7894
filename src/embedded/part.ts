import type { Environment } from './java.ts'
import type { Password } from './password.ts'
import type { PortName } from './ports.ts'
import type { TetheredProcess } from './tethered-process.ts'

export type PartName = 'kafka' | 'registry' | 'postgres' | 'clickhouse'

/** What a part is handed to start with. */
export interface PartOptions {
  dataDir: string
  cacheDir: string
  logFile: string
  ports: Record<PortName, number>
  /** Of Postgres and ClickHouse. */
  password: Password
  environment: Environment
  niceness: number | undefined
  /** Told as soon as the process runs, so that whatever happens next it is stopped. */
  started: (process: TetheredProcess) => Promise<void>
  progress: (what: string) => void
  signal?: AbortSignal | undefined
}

export interface StartedPart {
  address: string
  process: TetheredProcess
  /** After the process has ended by itself. */
  afterStop?: () => Promise<void>
}
