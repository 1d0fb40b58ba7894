import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually, until } from '../../processes.ts'
import { finished, Program } from '../../program.ts'
import { startSenders } from './senders.ts'
import { Started, type Surroundings, signalTo, surroundings } from './started.ts'

let around: Surroundings
let started: Started
beforeAll(async () => {
  around = await surroundings(inject('parts'))
  started = await Started.start({ ...around.settings, EMBUDO_INGEST_PROCESSES: '2' })
})
afterAll(async () => {
  await started[Symbol.asyncDispose]()
  await around[Symbol.asyncDispose]()
})

const scrape = async (): Promise<ReadonlyMap<string, number>> => {
  // A connection of its own: any of the processes may take it.
  const response = await fetch(`${started.address}/metrics`, { headers: { connection: 'close' } })
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.replace(/ \S+$/, ''), Number(/ (\S+)$/.exec(line)?.[1])]))
}

const acceptedBy = (metrics: ReadonlyMap<string, number>, process: number): number =>
  metrics.get(`embudo_ingest_events_accepted_total{role="ingest+query",process="${process}"}`) ?? 0

/** Who does not answer in time is left out of a scrape. */
const processesIn = (metrics: ReadonlyMap<string, number>): number =>
  [...metrics.keys()].filter((name) => name.startsWith('process_start_time')).length
const scrapeOfBoth = () => eventually(scrape, (metrics) => processesIn(metrics) === 2)

describe('several processes on one port', () => {
  it('share a free port', async () => {
    expect(started.pids).toHaveLength(2)
    expect(started.said.match(/"address":"[^"]*"/g)?.map(String)).toHaveLength(2)
    expect(new Set(started.said.match(/"address":"[^"]*"/g)).size).toBe(1)
    expect((await fetch(`${started.address}/readyz`)).status).toBe(200)
  })

  it('leave the port to nobody else, who is told at once', async () => {
    const taken = { ...around.settings, EMBUDO_PORT: String(started.port) }
    for (const processes of ['1', '2']) {
      await using second = await Started.refused({ ...taken, EMBUDO_INGEST_PROCESSES: processes })
      expect(second.exit).toBe(2)
      expect(second.said).toContain(`port ${started.port} on 127.0.0.1 is taken`)
    }
  })

  it('leave it to no `up` either, which is told before it starts anything', async () => {
    await using program = await Program.prepare({ EMBUDO_PORT: String(started.port) })
    const { status, stdout, stderr } = await finished(program.spawn())
    expect(status).toBe(2)
    expect(stderr).toContain(`port ${started.port} on 127.0.0.1 is taken`)
    expect(stdout).toBe('')
  })

  it('are all in a scrape, and no counter goes backwards from one to the next', async () => {
    const senders = startSenders(started, { fresh: true })
    let before = await scrapeOfBoth()
    await until('both take events', async () => {
      const now = await scrape()
      const isWhole = processesIn(now) === 2
      for (const [series, value] of before) {
        // Node's own of that name are levels.
        if (!/^(embudo_|process_cpu_)\w*_(total|count|bucket|sum)\b/.test(series)) continue
        if (isWhole || now.has(series)) expect(now.get(series), series).toBeGreaterThanOrEqual(value)
      }
      before = new Map([...before, ...now])
      return isWhole && acceptedBy(now, 1) > 100 && acceptedBy(now, 2) > 100
    })
    await senders.stop()
    const after = await scrapeOfBoth()
    const accepted = acceptedBy(after, 1) + acceptedBy(after, 2)
    const { '202': told = 0, ...untold } = senders.outcomes
    expect(accepted).toBeGreaterThanOrEqual(told)
    expect(accepted).toBeLessThanOrEqual(told + Object.values(untold).reduce((sum, count) => sum + count, 0))
  })

  it('go on without one that dies, which is started again: nobody is refused', async () => {
    const senders = startSenders(started, { fresh: true })
    for (const victim of started.pids.slice(-2)) {
      const enough = senders.accepted.length + 200
      await until('events are accepted', () => senders.accepted.length > enough)
      const pids = started.pids.length
      signalTo(victim, 'SIGKILL')
      const more = senders.accepted.length + 200
      await until('others are accepted meanwhile', () => senders.accepted.length > more)
      await started.until('it is started again', () => started.pids.length > pids)
    }
    await senders.stop()
    const { '202': _, '408': late = 0, ECONNRESET: reset = 0, EPIPE: broken = 0, ...rest } = senders.outcomes
    // What was under way, by eight senders, as each was killed, and wherever the machine stood still for long.
    expect(reset + broken + late).toBeLessThanOrEqual(64)
    expect(rest).toEqual({})
    const inLog = new Set((await around.log()).map(({ id }) => id))
    expect(senders.accepted.filter((id) => !inLog.has(id))).toEqual([])
  })

  it('answer while one of them stands still, also to a scrape, which leaves it out', async () => {
    const [first = 0] = started.pids.slice(-2)
    await scrapeOfBoth()
    signalTo(first, 'SIGSTOP')
    try {
      for (let n = 0; n < 20; n++) {
        const ready = await fetch(`${started.address}/readyz`, { headers: { connection: 'close' } })
        expect(ready.status).toBe(200)
      }
      await until('the other one is there', async () => {
        const told = processesIn(await scrape())
        expect(told).toBeLessThan(2)
        return told === 1
      })
    } finally {
      signalTo(first, 'SIGCONT')
    }
  })

  it('give connections to one that has nothing to do', async () => {
    const [idle = 0] = started.pids.slice(-2)
    const spread = async () => {
      const metrics = await scrapeOfBoth()
      return [acceptedBy(metrics, 1), acceptedBy(metrics, 2)]
    }
    const before = await spread()
    signalTo(idle, 'SIGSTOP')
    const senders = startSenders(started, { senders: 32, together: 200 })
    await until('all send', () => senders.accepted.length > 10_000)
    signalTo(idle, 'SIGCONT')
    await until('both take many', async () => {
      const now = await spread()
      return now.every((count, at) => count - (before[at] ?? 0) > 10_000)
    })
    await senders.stop()
    // Also of those whose request lay there unread for long, as the machine stood still.
    expect(Object.keys(senders.outcomes).filter((outcome) => outcome !== '408')).toEqual(['202'])
  })
})
