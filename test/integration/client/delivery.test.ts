import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, createClient, type Delivered } from '../../../src/client/client.ts'
import { type LogRecord, readLog } from '../../faults/whole-program/log-reader.ts'
import { eventually, until } from '../../processes.ts'
import { Program } from '../../program.ts'

let program: Program
beforeAll(async () => {
  program = await Program.start({ EMBUDO_READ_WAIT_MS: '60000' })
})
afterAll(() => program[Symbol.asyncDispose]())

/** Wherever the program listens now: a new start has a new port. */
const client = (source: string): Client =>
  createClient({
    url: 'http://embudo',
    source,
    lingerMs: 5,
    maxBackOffMs: 500,
    deliveryTimeoutMs: 600_000,
    fetch: (url, request) => fetch(url.replace('http://embudo', program.run.http), request),
  })

const attended = (leadId: string, seconds: number) => ({
  leadId,
  webinarId: 'W-9',
  attendanceDuration: seconds,
})

/** Each event where it stands first: the later ones are recognised by source and id. */
const firstOfEach = (records: readonly LogRecord[]): LogRecord[] =>
  [
    ...new Map(records.toReversed().map((record) => [`${record.source} ${record.id}`, record])).values(),
  ].toSorted((a, b) => a.offset - b.offset)

describe('a client of the whole program', { timeout: 600_000 }, () => {
  it('reads what it wrote', async () => {
    await using embudo = client('reader')
    const { position } = await embudo.send('lead_registered', { leadId: 'C-0', email: 'ada@example.com' })
    await embudo.send('webinar_attended', attended('C-0', 60))
    const headers = { 'embudo-position': embudo.position ?? '' }
    const read = async () => {
      const response = await fetch(`${program.run.http}/api/leads/C-0`, { headers })
      return { status: response.status, body: await response.text() }
    }
    // Not there in time is an answer as well, and the only one to ask again after.
    const { status, body } = await eventually(read, (answer) => answer.status !== 503)
    expect(status, body).toBe(200)
    expect(JSON.parse(body)).toMatchObject({ email: 'ada@example.com', attendanceSeconds: 60 })
    expect(position).toMatch(/^embudo\.leads:\d+:\d+$/)
  })

  it('hears of the one event that is refused, and the others are there', async () => {
    await using embudo = client('one-of-three')
    const sent = [10, -1, 20].map((seconds) => embudo.send('webinar_attended', attended('C-1', seconds)))
    const results = await Promise.allSettled(sent)
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    await expect(sent[1]).rejects.toMatchObject({ code: 'out_of_range', field: '/data/attendanceDuration' })
  })

  it('loses nothing and keeps the order of each subject when the server is killed again and again', async () => {
    const embudo = client('killed')
    const wanted = new Map<string, number[]>()
    const sent: Promise<Delivered>[] = []
    let isSending = true
    const sending = (async () => {
      for (let n = 0; isSending; n++) {
        const leadId = `K-${n % 7}`
        await embudo.ready()
        wanted.set(leadId, [...(wanted.get(leadId) ?? []), n])
        sent.push(embudo.send('webinar_attended', attended(leadId, n)))
        if (n % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })()
    const untilMore = async () => {
      const accepted = embudo.position
      await until('more is accepted', () => embudo.position !== accepted)
    }
    for (let kill = 0; kill < 3; kill++) {
      await untilMore()
      await program.killRole('http')
    }
    await untilMore()
    await program.kill()
    await program.start()
    await untilMore()
    isSending = false
    await sending
    await embudo.close({ timeoutMs: 240_000 })

    expect(sent.length).toBeGreaterThan(500)
    const delivered = await Promise.all(sent)
    const records = (await readLog(program.run, ['embudo.leads'])).filter(({ source }) => source === 'killed')
    const counted = firstOfEach(records)
    expect(new Set(counted.map(({ id }) => id))).toEqual(new Set(delivered.map(({ id }) => id)))
    for (const [leadId, numbers] of wanted) {
      const stands = counted.filter(({ key }) => key === leadId)
      expect(stands.map(({ data }) => data.attendanceDuration)).toEqual(numbers)
    }
  })
})
