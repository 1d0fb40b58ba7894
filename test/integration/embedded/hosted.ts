import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { identify } from '../../../src/embedded/process-identity.ts'
import type { EmbeddedAddresses } from '../../../src/embedded/start.ts'
import { until } from '../../processes.ts'

export interface Hosted {
  addresses: EmbeddedAddresses
  pids: Record<string, number[]>
  code?: string
  message?: string
  host: ChildProcess
  stop(): Promise<number | null>
  /** Its status, once it has ended by itself. */
  ended(): Promise<number | null>
}

/** As `hosted`, for a start that is meant to succeed. */
export async function started(...how: Parameters<typeof hosted>): Promise<Hosted> {
  const host = await hosted(...how)
  if (host.message !== undefined) throw new Error(host.message)
  return host
}

/** Starts host.ts and waits for its first line: addresses and pids, or the code and message of its error. */
export async function hosted(dataDir: string, parts?: string, patienceMs?: number): Promise<Hosted> {
  const args = [join(import.meta.dirname, 'host.ts'), '--data', dataDir]
  if (parts !== undefined) args.push('--parts', parts)
  if (patienceMs !== undefined) args.push('--patience', String(patienceMs))
  const host = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(host, 'exit')
  const [line] = await Promise.race([
    once(createInterface(host.stdout), 'line'),
    ended.then(() => {
      throw new Error('host.ts ended without a word')
    }),
  ])
  return {
    ...JSON.parse(line),
    host,
    async ended() {
      await ended
      return host.exitCode
    },
    async stop() {
      host.kill('SIGTERM')
      await ended
      return host.exitCode
    },
  }
}

export async function untilGone(pids: readonly number[], patienceMs = 120_000): Promise<void> {
  const areGone = async () => (await Promise.all(pids.map(identify))).every((found) => found === undefined)
  await until(`none of ${pids.join(', ')} runs`, areGone, patienceMs)
}
