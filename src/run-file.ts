import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What runs where, as `up` left it for other commands: addresses as the configuration takes them. */
export interface RunFile {
  readonly http: string
  readonly kafka: string
  readonly registry: string
  readonly postgres: string
  readonly clickhouse: string
  /** By part or role: its processes. */
  readonly pids: Readonly<Record<string, readonly number[]>>
}

/** Readable by its owner alone: the address of Postgres has a password in it. */
export const writeRunFile = (dataDir: string, run: RunFile): void => {
  const path = pathOf(dataDir)
  writeFileSync(`${path}.new`, `${JSON.stringify(run, undefined, 2)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

export const removeRunFile = (dataDir: string): void => rmSync(pathOf(dataDir), { force: true })

/** Undefined where nothing has been started on that data folder, or it was stopped in order. */
export const readRunFile = (dataDir: string): RunFile | undefined => {
  try {
    return JSON.parse(readFileSync(pathOf(dataDir), 'utf8')) as RunFile
  } catch {
    return undefined
  }
}

const pathOf = (dataDir: string): string => join(dataDir, 'run.json')
