import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sendCommand } from '../../../src/commands/send.ts'
import { findExports } from '../../../src/commands/sending/find-exports.ts'
import { Columns } from '../../../src/commands/sending/table.ts'
import { run } from './command-line.ts'

const fixtures = join(import.meta.dirname, '..', '..', 'fixtures', 'exports')

interface Shown {
  readonly recognisedAs: string
  readonly source: string
  readonly delimiter: string
  readonly timeZone: string
  readonly events: number
  readonly skipped: Record<string, number>
  readonly first: readonly { id: string; type: string; time?: string; data: Record<string, unknown> }[]
}

const shown = async (file: string, ...more: readonly string[]): Promise<Shown> => {
  const ran = await run(sendCommand, ['send', '--dry-run', '--json', join(fixtures, file), ...more])
  expect(ran).toMatchObject({ status: 0, err: '' })
  const { files } = ran.json() as unknown as { files: [Shown] }
  return files[0]
}
const told = ({ first }: Shown) => first.map(({ type, time, data }) => ({ type, time, ...data }))

const ada = 'lead-b5fc85e55755f9e0d030a10ab4429b6b'

describe('the exports of other tools', () => {
  it.each([
    ['zoom-webinar-attendees.csv', 'Zoom webinar attendee report', 5],
    ['zoom-webinar-registrations.csv', 'Zoom registration report', 2],
    ['zoom-meeting-participants.csv', 'Zoom meeting participants', 1],
    ['zoom-meeting-participants-unique.csv', 'Zoom meeting participants', 2],
    ['hubspot-contacts.csv', 'HubSpot contacts', 2],
    ['hubspot-contacts-semicolons.csv', 'HubSpot contacts', 2],
    ['activecampaign-contacts.csv', 'ActiveCampaign contacts', 2],
    ['activecampaign-subscribers.csv', 'ActiveCampaign contacts', 1],
  ])('knows %s by its header as %s', async (file, name, events) => {
    expect(await shown(file, '--set', 'webinarId=W-1')).toMatchObject({ recognisedAs: name, events })
  })

  it('has one that knows each header, and an example of each', async () => {
    const exports = await findExports()
    const reading = {
      instant: (text?: string) => text,
      leadId: () => 'lead-1',
      number: () => 1,
      decimal: undefined,
      set: new Map([['webinarId', 'W-1']]),
    }
    const met = new Set<string>()
    for (const path of globSync('*.csv', { cwd: fixtures })) {
      const rows = (await readFile(join(fixtures, path), 'utf8')).split(/\r?\n/)
      for (const row of rows) {
        const header = new Columns(
          row
            .replace('\uFEFF', '')
            .split(/[,;]/)
            .map((cell) => cell.replaceAll('"', '')),
        )
        const knowing = exports.filter((each) =>
          each.recognise({ header, preamble: [], section: '' }, reading),
        )
        expect(knowing.length, `${basename(path)}: ${row}`).toBeLessThanOrEqual(1)
        for (const { name } of knowing) met.add(name)
      }
    }
    expect([...met].toSorted()).toEqual(exports.map(({ name }) => name).toSorted())
  })

  it('makes one person one lead, wherever the address stands and however it is written', async () => {
    const all = [
      await shown('zoom-webinar-attendees.csv'),
      await shown('zoom-meeting-participants.csv'),
      await shown('hubspot-contacts.csv'),
      await shown('hubspot-contacts-semicolons.csv'),
      await shown('activecampaign-contacts.csv'),
    ]
    expect(all.map(({ first }) => first[0]?.data.leadId)).toEqual(Array(5).fill(ada))
  })

  it('registers who registered, and adds up the stays of who came', async () => {
    const report = await shown('zoom-webinar-attendees.csv', '--tz', 'Europe/Berlin')
    expect(told(report)).toEqual([
      {
        type: 'lead_registered',
        time: '2026-11-10T07:00:00.000Z',
        leadId: ada,
        email: 'ada@example.com',
        firstName: 'Ada',
        lastName: 'Lovelace',
        company: 'Analytical Engines',
        source: 'google-ads',
      },
      expect.objectContaining({ type: 'lead_registered', email: 'linus@example.org', source: 'webinar' }),
      expect.objectContaining({ type: 'lead_registered', email: 'grace@example.net' }),
      {
        type: 'webinar_attended',
        time: '2026-11-20T09:00:00.000Z',
        leadId: ada,
        webinarId: '84759841045',
        // From 10:00:00 to 10:30:00 and, on a second device, from 10:20:00 to 11:00:30.
        attendanceDuration: 3_630,
      },
      expect.objectContaining({ type: 'webinar_attended', attendanceDuration: 2_700 }),
    ])
    expect(report.skipped).toEqual({
      'of a host': 1,
      'of a panelist': 1,
      'repeats another': 1,
      'without a mail address': 1,
    })
  })

  it('gives a registration the same id from either of the reports that tell of it', async () => {
    const attendees = await shown('zoom-webinar-attendees.csv')
    const registrants = await shown('zoom-webinar-registrations.csv')
    expect(registrants.first.map(({ id }) => id)).toEqual(attendees.first.slice(0, 2).map(({ id }) => id))
    expect(registrants.skipped).toEqual({ 'denied or cancelled': 1 })
  })

  it('knows the host of a meeting, and who never left the waiting room', async () => {
    const meeting = await shown('zoom-meeting-participants.csv')
    expect(told(meeting)).toEqual([
      {
        type: 'webinar_attended',
        time: '2026-10-05T18:10:00.000Z',
        leadId: ada,
        webinarId: '81234567890',
        attendanceDuration: 2_880,
      },
    ])
    expect(Object.keys(meeting.skipped)).toEqual([
      'of a host',
      'without a mail address',
      'in the waiting room only',
    ])
  })

  it('asks which webinar it was where the file does not say', async () => {
    const file = join(fixtures, 'zoom-meeting-participants-unique.csv')
    const ran = await run(sendCommand, ['send', '--dry-run', file])
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining('--set webinarId=') })
  })

  it('reads semicolons, a byte order mark, days with dots, and commas in a cell', async () => {
    const contacts = await shown('hubspot-contacts-semicolons.csv', '--tz', 'Europe/Berlin')
    expect(contacts.delimiter).toBe(';')
    expect(told(contacts)[1]).toMatchObject({
      time: '2026-03-13T16:00:00.000Z',
      firstName: 'Ägidius',
      company: 'Müller, Söhne & Co',
    })
  })

  it("takes the contact's own id and columns of its own where it is told to", async () => {
    const contacts = await shown(
      'hubspot-contacts.csv',
      '--lead-id',
      'contact',
      '--map',
      'Contact owner=company',
    )
    expect(told(contacts)[0]).toMatchObject({ leadId: 'hubspot-101', company: 'Sam Sales' })
  })

  it('makes other ids with a secret, which it does not show', async () => {
    const secret = join(fixtures, 'hubspot-contacts.csv')
    const salted = await shown('hubspot-contacts.csv', '--salt-file', secret)
    const plain = await shown('hubspot-contacts.csv')
    expect(salted.first[0]?.data.leadId).toMatch(/^lead-[0-9a-f]{32}$/)
    expect(salted.first[0]?.data.leadId).not.toBe(plain.first[0]?.data.leadId)
    expect(salted.first[0]?.id).not.toBe(plain.first[0]?.id)
  })
})
