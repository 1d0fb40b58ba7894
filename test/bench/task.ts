import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'

/** A file of tasks/ that runs in a process of its own, so that what is measured shares no event loop with it. */
export interface Task<Result> extends AsyncDisposable {
  /** What it told first: a server its port, a measurement its figures. */
  readonly result: Result
  readonly pid: number
}

/** What a task that goes through events by itself tells. */
export interface Speed {
  readonly perSecond: number
  /** Of its own process, for each event. */
  readonly cpuMicros: number
}

export const startTask = async <Input, Result>(name: string, input: Input): Promise<Task<Result>> => {
  const child = fork(join(import.meta.dirname, 'tasks', `${name}.ts`), [JSON.stringify(input)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // kafkajs makes Node warn of negative timeouts.
    execArgv: ['--no-warnings'],
  })
  const told: string[] = []
  child.stderr!.on('data', (data: Buffer) => told.push(data.toString()))
  const result = await new Promise<Result>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Result))
    child.once('exit', (code) =>
      reject(new Error(`${name} ended with ${code}: ${told.join('').slice(-2_000)}`)),
    )
  })
  return { result, pid: child.pid!, [Symbol.asyncDispose]: () => end(child) }
}

export const runTask = async <Input, Result>(name: string, input: Input): Promise<Result> => {
  await using task = await startTask<Input, Result>(name, input)
  return task.result
}

/** The other side, in the task's own process. */
export const taskInput = <Input>(): Input => {
  // The bench has ended, perhaps by force.
  process.once('disconnect', () => process.exit())
  return JSON.parse(process.argv[2]!) as Input
}

/** Told once; the process stays until it is ended from outside. */
export const tell = (result: object): void => void process.send!(result)

const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}
