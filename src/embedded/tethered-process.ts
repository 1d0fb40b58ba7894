import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { EmbudoError } from '../define/error.ts'

export interface TetheredProcess {
  /** The shell that holds the tether, and the program itself. */
  readonly pids: readonly number[]
  /** The program's own pid, the last of the two. */
  readonly pid: number
  /** Exit status as a shell tells it (128 + the number of a signal). Resolves once, however the program ended. */
  readonly exited: Promise<number>
  /** Asks the program to end, kills it after its time of grace, and waits. */
  stop(): Promise<void>
}

/**
 * A child process that cannot outlive this one. A small shell starts the program and watches a pipe that only
 * this process holds open: when the pipe closes, be it by `stop` or because this process was killed with -9, it
 * sends the program `stopSignal` and, after `graceSeconds`, KILL. Both run in a session of their own, so a
 * terminal's Ctrl-C reaches this process alone and the parts can be stopped in order.
 */
export async function startTethered(options: {
  command: string
  args: readonly string[]
  environment: Readonly<Record<string, string | undefined>>
  cwd: string
  logFile: string
  stopSignal?: 'TERM' | 'INT'
  graceSeconds?: number
  /** As of `nice`: who answers comes before this one where all cores are busy. */
  niceness?: number | undefined
}): Promise<TetheredProcess> {
  const log = await open(options.logFile, 'a')
  const shellArgs = [options.stopSignal ?? 'TERM', String(options.graceSeconds ?? 20)]
  // `nice` becomes the program, so that all of its threads and children have the priority.
  const nice = options.niceness === undefined ? [] : ['nice', '-n', String(options.niceness)]
  const program = [...nice, options.command, ...options.args]
  const shell = spawn('/bin/sh', ['-c', tether, 'tether', ...shellArgs, ...program], {
    cwd: options.cwd,
    env: { ...options.environment },
    stdio: ['pipe', log.fd, log.fd, 'pipe'],
    detached: true,
  })
  const exited = new Promise<number>((resolve) => {
    shell.once('error', () => resolve(127))
    shell.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 143)))
  })
  await log.close()
  const [tetherPipe, , , pidPipe] = shell.stdio
  tetherPipe?.on('error', () => {})
  const pid = pidPipe instanceof Readable ? Number.parseInt(await text(pidPipe), 10) : Number.NaN
  if (shell.pid === undefined || Number.isNaN(pid)) {
    throw new EmbudoError('part_not_started', `Could not start ${options.command}: see ${options.logFile}.`)
  }
  return {
    pids: [shell.pid, pid],
    pid,
    exited,
    async stop() {
      tetherPipe?.end()
      await exited
    },
  }
}

// POSIX sh. Descriptor 0 is the tether's pipe, moved to 4 because background commands read from nowhere;
// 3 tells the pid and is closed at once. The program inherits neither.
const tether = `
signal=$1 grace=$2
shift 2
exec 4<&0 0</dev/null
"$@" 3>&- 4<&- &
program=$!
(
  exec 3>&- >/dev/null 2>&1
  read -r _ <&4
  kill -s "$signal" "$program"
  waited=0
  while [ "$waited" -lt "$grace" ] && kill -0 "$program"; do
    sleep 1
    waited=$((waited + 1))
  done
  kill -s KILL "$program"
) &
watcher=$!
echo "$program" >&3
exec 3>&- 4<&-
wait "$program"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
`
