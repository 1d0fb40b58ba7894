import type { Config } from '../config.ts'
import { requireFreePort } from './port.ts'
import { stopPatienceMs } from './role-process.ts'
import { type Role, requireAddresses } from './serve.ts'
import { startSeveral, workerNiceness, workerSettings } from './several.ts'

export interface StartOptions {
  readonly config: Config
  readonly roles: readonly Role[]
  /** What the processes inherit. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The program's own main file. */
  readonly main: string
  readonly signal: AbortSignal
  readonly onStarted: (started: { readonly http: string; readonly worker: string | undefined }) => void
  readonly onRestart: (name: string, why: string) => void
}

/**
 * Runs the roles that answer in several processes on one port, the ones that work in one more, until `signal`
 * aborts. This process starts again what ends, and does nothing else.
 */
export const startWithSiblings = async (options: StartOptions): Promise<void> => {
  const { config, signal } = options
  requireAddresses(config)
  await requireFreePort(config)
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  const start = (
    name: string,
    count: number,
    roles: readonly Role[],
    port: number,
    settings: Readonly<Record<string, string>> = {},
  ) =>
    startSeveral({
      name,
      count,
      roles,
      port,
      signal,
      main: options.main,
      env: { ...options.environment, ...settings },
      stopPatienceMs: stopPatienceMs(config),
      ...(name === 'worker' ? { niceness: workerNiceness } : {}),
      // Their lines go where this process's go.
      onNotice: () => {},
      onRestart: options.onRestart,
      onStarted: () => {},
    })
  const isWork = (role: Role) => role === 'project' || role === 'saga'
  const working = options.roles.filter(isWork)
  const answering = options.roles.filter((role) => !isWork(role))
  await using worker =
    working.length === 0 ? undefined : start('worker', 1, working, config.EMBUDO_WORKER_PORT, workerSettings)
  await using http = start('http', config.EMBUDO_INGEST_PROCESSES, answering, config.EMBUDO_PORT)
  const addresses = await Promise.race([Promise.all([http.ready, worker?.ready]), aborted])
  if (addresses === undefined) return
  options.onStarted({ http: addresses[0], worker: addresses[1] })
  await aborted
}
