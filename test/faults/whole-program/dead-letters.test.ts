import { randomUUID } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { Program } from '../../program.ts'
import { ask, rebuild } from './asking.ts'
import { extent } from './extent.ts'
import { untilQuiet } from './oracle.ts'
import { Stores } from './stores.ts'

const leads = extent({ full: 20_000, short: 2_000 })
const perLead = 5

let program: Program
beforeAll(async () => {
  program = await Program.start()
})
afterAll(() => program[Symbol.asyncDispose]())

const attended = (leadId: string, webinarId: string, attendanceDuration = 60) => ({
  type: 'webinar_attended',
  id: `${leadId}/${webinarId}`,
  source: 'zoom',
  data: { leadId, webinarId, attendanceDuration, engagementScore: null },
})

const send = async (events: readonly object[]): Promise<string> => {
  const response = await fetch(`${program.run.http}/api/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: events.map((event) => `${JSON.stringify(event)}\n`).join(''),
  })
  expect(response.status).toBe(202)
  return response.headers.get('embudo-position') ?? ''
}

/** As another producer would, past everything that validates. */
const produce = async (key: string, value: Buffer): Promise<void> => {
  const kafka = new Kafka({ brokers: program.run.kafka.split(','), logLevel: logLevel.NOTHING })
  const producer = kafka.producer()
  await producer.connect()
  const headers = { ce_id: randomUUID(), ce_source: 'elsewhere', ce_type: 'webinar_attended' }
  await producer.send({ topic: 'embudo.leads', messages: [{ key, value, headers }] })
  await producer.disconnect()
}

const lettersOf = async (
  projection: string,
): Promise<{ id: string; subject: string; cause: string; waiting: number }[]> => {
  const list = ['dead-letters', 'list', '--projection', projection, '--limit', '1000', '--json']
  return JSON.parse(await ask(program, list)).items
}

const quiet = async (): Promise<void> => {
  await using stores = new Stores(program.run)
  await untilQuiet(program.run, stores)
}

const attendances = async (): Promise<Map<string, number>> => {
  await using stores = new Stores(program.run)
  const rows = await stores.postgres('select lead_id, webinars_attended from lead_profile')
  return new Map(rows.map((row) => [String(row.lead_id), Number(row.webinars_attended)]))
}

const story = `a poisoned record among ${(leads * perLead).toLocaleString('en')}`

describe(story, { timeout: 600_000 }, () => {
  const rounds = Array.from({ length: perLead }, (_, round) =>
    Array.from({ length: leads }, (_, lead) => attended(`L-${lead}`, `W-${round}`)),
  )
  let position = ''

  it('lets all others go on, and its own subject wait in every read model', async () => {
    for (const round of rounds.slice(0, 2)) await send(round)
    await produce('L-7', Buffer.from('{"leadId": "L-7"}'))
    for (const round of rounds.slice(2)) await send(round)
    position = await send([attended('L-7', 'W-last')])
    await quiet()
    const found = await attendances()
    expect(found.size).toBe(leads)
    expect(found.get('L-7')).toBe(2)
    expect([...found].filter(([lead, count]) => count !== perLead && lead !== 'L-7')).toEqual([])
    const letters = await lettersOf('lead_profile')
    expect(letters.map(({ subject, cause }) => [subject, cause])).toEqual([
      ['L-7', 'poison'],
      ...Array.from({ length: perLead - 2 + 1 }, () => ['L-7', 'behind']),
    ])
    expect(letters[0]?.waiting).toBe(perLead - 1)
    expect(await lettersOf('webinar_stats')).toHaveLength(1)
    expect(await lettersOf('events')).toHaveLength(1)
  })

  it('tells a reader who waits for what waits there', async () => {
    const read = await fetch(`${program.run.http}/api/leads/L-7`, {
      headers: { 'embudo-position': position },
    })
    expect(read.status).toBe(409)
    expect(await read.json()).toMatchObject({ code: 'event_parked' })
  })

  it('is edited, and what waits behind it is applied in order', async () => {
    for (const projection of ['lead_profile', 'webinar_stats', 'events']) {
      const [letter] = await lettersOf(projection)
      const { data } = attended('L-7', 'W-mended', 120)
      const edit = ['dead-letters', 'edit', letter!.id, '--data', JSON.stringify(data), '--reason', 'mended']
      await ask(program, edit, /settled/)
    }
    await quiet()
    await expectWhole()
  })

  it('comes to the same in a rebuild, and after everything was killed', async () => {
    await program.kill()
    await program.start()
    await quiet()
    await expectWhole()
    await rebuild(program, 'lead_profile')
    await expectWhole()
  })

  const expectWhole = async (): Promise<void> => {
    const found = await attendances()
    expect(found.get('L-7')).toBe(perLead + 2)
    expect([...found].filter(([lead, count]) => count !== perLead && lead !== 'L-7')).toEqual([])
    await using stores = new Stores(program.run)
    const [row] = await stores.postgres(
      "select attendance_seconds::integer as seconds from lead_profile where lead_id = 'L-7'",
    )
    expect(row).toEqual({ seconds: (perLead + 1) * 60 + 120 })
    const [mended] = await stores.postgres(
      "select attendances::integer from webinar_stats where webinar_id = 'W-mended'",
    )
    expect(mended).toEqual({ attendances: 1 })
    const records = leads * perLead + 2
    await until('ClickHouse has every row', async () => {
      const [counted] = await stores.clickhouse<Record<string, string>>(
        "SELECT toString(count()) AS rows, toString(uniqExact(_partition, _offset)) AS places FROM events WHERE _topic = 'embudo.leads'",
      )
      return counted?.rows === String(records) && counted.places === String(records)
    })
    expect(await lettersOf('lead_profile')).toEqual([])
    expect(await lettersOf('events')).toEqual([])
  }
})
