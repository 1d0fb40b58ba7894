import { once } from 'node:events'
import { createServer } from 'node:net'
import { stderr } from 'node:process'
import { describe, expect, it } from 'vitest'
import { until, untilGone } from '../../processes.ts'
import { finished, Program } from '../../program.ts'
import { funnelEvent, ndjson } from './load.ts'
import { expectExactlyOnce } from './oracle.ts'

/** What only a first start has to do. */
const cold = /downloading|making its cluster|preparing its storage/

const send = async (program: Program, from: number, count: number): Promise<void> => {
  const events = Array.from({ length: count }, (_, i) => funnelEvent(from + i, 50))
  const response = await fetch(`${program.run.http}/api/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: ndjson(events),
  })
  expect(response.status).toBe(202)
}

const note = (text: string) => stderr.write(`${text}\n`)

describe('embudo up', { timeout: 600_000 }, () => {
  it('leaves nothing running when its supervisor is killed with -9, and the next one has all data', async () => {
    await using program = await Program.start()
    await send(program, 0, 200)
    const processes = await program.processes()
    // up, two roles, four parts with their tethers, and Postgres's own children.
    expect(processes.length).toBeGreaterThan(11)

    await program.signal('up', 'SIGKILL')
    await untilGone(processes)

    const seconds = await program.start()
    note(`warm start after a kill: ${seconds.toFixed(1)} s`)
    await send(program, 200, 100)
    expect(await expectExactlyOnce(program.run)).toHaveLength(300)
  })

  it('comes up after it was killed with -9 in the middle of its first start, again and again', async () => {
    await using program = await Program.prepare()
    const moments = [
      /making its cluster/,
      /postgres +ready/,
      /registry +ready/,
      /kafka +ready/,
      /worker +starting/,
    ]
    for (const moment of moments) await program.startAndKill(moment)
    await program.start()
    await send(program, 0, 100)
    expect(await expectExactlyOnce(program.run)).toHaveLength(100)
  })

  it('stops on Ctrl-C and on SIGTERM with status 0, leaves nothing, and comes back with all data', async () => {
    await using program = await Program.start()
    expect(program.said).toMatch(cold)
    let sent = 0
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      await send(program, sent, 100)
      sent += 100
      const addresses = { ...program.run, pids: undefined }
      await program.processes()

      expect(await program.stop(signal)).toBe(0)
      await untilGone(await program.processes(), 60_000)
      expect(await program.readRunFile()).toBeUndefined()

      const before = program.said.length
      const seconds = await program.start()
      note(`warm start after ${signal}: ${seconds.toFixed(1)} s`)
      expect(program.said.slice(before)).not.toMatch(cold)
      // The parts are at the same addresses; the program itself was told to take any free one.
      expect({ ...program.run, http: addresses.http, pids: undefined }).toEqual(addresses)
    }
    expect(await expectExactlyOnce(program.run)).toHaveLength(sent)
  })

  it('is refused to a second one on the same data, which is told who holds them', async () => {
    await using program = await Program.start()
    const before = await program.readRunFile()
    const { status, stderr: said } = await finished(program.spawn())
    expect(status).toBe(1)
    expect(said).toContain(`in use by process ${before?.pids.up?.[0]}`)
    expect(await program.readRunFile()).toEqual(before)
    await send(program, 0, 10)
  })

  it('ends with status 1 and leaves nothing when one of its parts does not come up again, saying which', async () => {
    await using program = await Program.start()
    const processes = await program.processes()
    const [host, port] = program.run.kafka.split(':')
    // It stands still, so that it does not take the port again first.
    await program.signal('up', 'SIGSTOP')
    process.kill(program.run.pids.kafka?.at(-1) ?? 0, 'SIGKILL')
    await using other = createServer((socket) => socket.destroy())
    await until('its port is taken', async () => {
      other.listen(Number(port), host)
      return await once(other, 'listening').then(
        () => true,
        () => false,
      )
    })
    await program.signal('up', 'SIGCONT')
    await untilGone(processes, 240_000)
    expect(await program.stop()).toBe(1)
    // Its last lines may be read after its end.
    for (const line of [
      `Port ${port} on 127.0.0.1, configured for kafka, is taken`,
      'embedded kafka ended by itself',
    ])
      await until(`it has said: ${line}`, () => program.said.includes(line))
  })
})
