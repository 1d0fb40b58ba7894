import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import Table from 'cli-table3'

/** What makes Node listen for an inspector, on a port that it says on its standard error. */
export const inspected = '--inspect=127.0.0.1:0'

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: {
      readonly functionName: string
      readonly url: string
      readonly lineNumber: number
    }
  }[]
  /** The node that ran at each sample, and the microseconds since the sample before. */
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Profiles an inspected process from now on until the function that it returns is called. */
export const startProfile = async (logFile: string): Promise<() => Promise<CpuProfile>> => {
  const address = /ws:\/\/\S+/.exec(readFileSync(logFile, 'utf8').split('Debugger listening on').at(-1)!)?.[0]
  if (address === undefined) throw new Error(`no inspector listens: see ${logFile}`)
  const socket = new WebSocket(address)
  await new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = reject
  })
  let calls = 0
  const call = (method: string, params: object = {}): Promise<{ readonly profile?: CpuProfile }> => {
    const id = ++calls
    socket.send(JSON.stringify({ id, method, params }))
    return new Promise((resolve) => {
      const hear = ({ data }: { readonly data: unknown }) => {
        const answer = JSON.parse(String(data)) as { id?: number; result: { profile?: CpuProfile } }
        if (answer.id !== id) return
        socket.removeEventListener('message', hear)
        resolve(answer.result)
      }
      socket.addEventListener('message', hear)
    })
  }
  await call('Profiler.enable')
  await call('Profiler.setSamplingInterval', { interval: 500 })
  await call('Profiler.start')
  return async () => {
    const { profile } = await call('Profiler.stop')
    socket.close()
    return profile!
  }
}

/** Self time, by function and by file: the main thread's, and what each event takes of it. */
export const profileText = (profile: CpuProfile, events: number): string => {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
  const byFunction = new Map<string, number>()
  const byFile = new Map<string, number>()
  let totalMicros = 0
  for (const [at, node] of profile.samples.entries()) {
    const { functionName, url, lineNumber } = frames.get(node)!
    const name = functionName || 'anonymous'
    const micros = profile.timeDeltas[at]!
    const file = fileOf(url)
    add(byFunction, file === '' ? name : `${name} ${file}:${lineNumber + 1}`, micros)
    add(byFile, file || name, micros)
    totalMicros += micros
  }
  const tableOf = (title: string, times: ReadonlyMap<string, number>, rows: number): string => {
    const table = new Table({
      head: [title, 'self', 'µs an event'],
      colAligns: ['left', 'right', 'right'],
      style,
    })
    for (const [name, micros] of [...times].toSorted((a, b) => b[1] - a[1]).slice(0, rows)) {
      table.push([name, `${((100 * micros) / totalMicros).toFixed(1)}%`, (micros / events).toFixed(2)])
    }
    return table.toString()
  }
  return `${tableOf('file', byFile, 20)}\n${tableOf('function', byFunction, 40)}`
}

const style = { head: [], border: [], compact: true }

const add = (times: Map<string, number>, name: string, micros: number): void =>
  void times.set(name, (times.get(name) ?? 0) + micros)

/** Relative to the project; empty for what is in no file, and for the engine's own: `(garbage collector)`. */
const fileOf = (url: string): string =>
  url.startsWith('file:') ? relative(`${import.meta.dirname}/../..`, fileURLToPath(url)) : url
