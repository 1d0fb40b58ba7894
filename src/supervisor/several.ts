import { KeptPort } from './kept-port.ts'
import { type RoleProcess, type RoleProcessOptions, startRoleProcess } from './role-process.ts'
import { SiblingExchange } from './siblings.ts'

export interface SeveralOptions
  extends Omit<
    RoleProcessOptions,
    'port' | 'logFile' | 'sibling' | 'onForked' | 'onNotice' | 'onRestart' | 'onStarted'
  > {
  readonly count: number
  /** 0: a free one, which stays theirs. */
  readonly port: number
  /** By the name of the process: `http`, or `http-2` where there are several. */
  readonly logFile?: (name: string) => string
  readonly onNotice: (name: string, line: string) => void
  readonly onRestart: (name: string, why: string) => void
  /** `at`: which of them, from 0. */
  readonly onStarted: (process: {
    readonly pid: number
    readonly address: string
    readonly at: number
  }) => void
}

/**
 * The same roles in `count` processes, each started again when it ends by itself. Several listen on one port; one
 * alone is a process as any other. Ready when all are.
 */
export const startSeveral = (options: SeveralOptions): RoleProcess => {
  const exchange = new SiblingExchange()
  const port = new KeptPort(options.port)
  const processes = Array.from({ length: options.count }, (_, at) => {
    const name = options.count === 1 ? options.name : `${options.name}-${at + 1}`
    return startRoleProcess({
      ...options,
      ...(options.count === 1 ? {} : { sibling: at + 1, onForked: (child) => exchange.join(child) }),
      name,
      port,
      logFile: options.logFile?.(name),
      onNotice: (line) => options.onNotice(name, line),
      onRestart: (why) => options.onRestart(name, why),
      onStarted: (started) => options.onStarted({ ...started, at }),
    })
  })
  return {
    ready: Promise.all(processes.map(({ ready }) => ready)).then(([address]) => address!),
    async [Symbol.asyncDispose]() {
      await Promise.all(processes.map((one) => one[Symbol.asyncDispose]()))
    },
  }
}

/**
 * Where all cores are busy, whoever answers comes first. Measured with single requests during a rebuild, on two
 * cores with far more to do: the median answer took a quarter of the time, the p99 about the same.
 */
export const workerNiceness = 5

/** Of the process beside them that takes no events: no load balancer waits for it. */
export const workerSettings = { EMBUDO_STOP_DELAY_MS: '0' } as const
