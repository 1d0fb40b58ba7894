import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env, execPath } from 'node:process'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UnreliableServer } from './unreliable-server.ts'

const program = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts')
const rows = 30_000

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embudo-send-kill-'))
})
afterEach(async () => await rm(folder, { recursive: true }))

/** The program as a process of its own. */
const send = (...args: readonly string[]): ChildProcess =>
  spawn(execPath, [program, 'send', ...args], { env: { ...env, EMBUDO_DATA_DIR: folder } })

const ended = async (child: ChildProcess) => {
  const [out, err, [status, signal]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'exit') as Promise<[number | null, string | null]>,
  ])
  return { status, signal, out, err }
}

const csv = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => `L-${(from + n) % 500},W-${from + n},60`).join('\n')
const header = 'leadId,webinarId,attendanceDuration'

describe('a sender that is killed', () => {
  it.each(['SIGKILL', 'SIGINT'] as const)(
    'with %s goes on from there, and each row counts once',
    async (how) => {
      const path = join(folder, 'rows.csv')
      // A row that is refused, early: it is to be named once.
      await writeFile(path, `${header}\nL-1,W-1,long\n${csv(0, rows)}\n`)
      let child: ChildProcess | undefined
      let killedAt = 0
      // The log has the third batch when the sender dies, and the sender never learns of it.
      await using server = new UnreliableServer((append) => {
        if (append === 6) {
          killedAt = performance.now()
          child?.kill(how)
        }
        return 'appended'
      })
      await server.start()
      const args = [path, '--type', 'webinar_attended', '--url', server.url]
      child = send(...args)
      const killed = await ended(child)
      // After SIGINT it waits five seconds for the answer that is under way.
      const wasAnswered = how === 'SIGINT' && performance.now() - killedAt < 5_000
      expect(how === 'SIGKILL' ? killed.signal : killed.status).toBe(how === 'SIGKILL' ? 'SIGKILL' : 1)
      const before = server.log.length
      expect(before).toBeGreaterThan(0)
      expect(before).toBeLessThan(rows)

      child = undefined
      const resumed = await ended(send(...args))
      expect(resumed.out).toMatch(/goes on at line [\d,]+, [\d,]+ events are through/)
      expect(resumed).toMatchObject({ status: 1, err: expect.stringContaining('one event was not accepted') })
      expect(new Set(server.log.map(({ source, id }) => `${source} ${id}`)).size).toBe(rows)
      expect(new Set(server.log.map(({ data }) => data.webinarId)).size).toBe(rows)
      // At most what was under way was sent a second time.
      expect(server.log.length - rows).toBeLessThanOrEqual(wasAnswered ? 0 : 5_000)
      expect((await readFile(`${path}.rejects.ndjson`, 'utf8')).trim().split('\n').length).toBe(1)

      const again = await ended(send(...args))
      // Not all of the file is in the log, until its rejects are mended and sent.
      expect(again).toMatchObject({ status: 1, out: expect.stringContaining('--from-start sends it again') })
    },
  )
})
