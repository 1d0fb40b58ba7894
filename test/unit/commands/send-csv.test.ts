import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sendCommand } from '../../../src/commands/send.ts'
import { run } from './command-line.ts'
import { allAccepted, type Received, scriptedServer } from './scripted-server.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embudo-send-'))
})
afterEach(async () => await rm(folder, { recursive: true }))

const file = async (content: string): Promise<string> => {
  const path = join(folder, 'o.csv')
  await writeFile(path, content)
  return path
}
const dataIn = (received: readonly Received[]) =>
  received.flatMap(({ lines }) => lines.map(({ data }) => data))
const attended = ['--type', 'webinar_attended']
const header = 'leadId,webinarId,attendanceDuration'

describe('a number that can be read in two ways', () => {
  const csv = 'leadId;conversionType;value;currency\nL-1;O-1;1.234;EUR\nL-2;O-2;1.234,50;EUR\n'
  const type = ['--type', 'conversion_completed']

  it('is rejected with its row, and the others are sent', async () => {
    await using server = await scriptedServer(allAccepted)
    const path = await file(csv)
    const ran = await run(sendCommand, ['send', path, ...type, '--url', server.url])
    expect(ran.status).toBe(1)
    expect(dataIn(server.received)).toMatchObject([{ leadId: 'L-2', value: '1234.50' }])
    const reject = JSON.parse(await readFile(`${path}.rejects.ndjson`, 'utf8'))
    expect(reject).toMatchObject({
      code: 'ambiguous_number',
      field: '/data/value',
      detail: expect.stringMatching(/^1\.234 is 1\.234 or 1234; --decimal/),
      line: 2,
      row: { value: '1.234' },
      // Sent as it stands it is no number to the server either.
      event: { data: { value: '1.234 or 1234' } },
    })
  })

  it.each([
    [',', '1234'],
    ['.', '1.234'],
  ])('is what --decimal %s makes of it', async (mark, value) => {
    await using server = await scriptedServer(allAccepted)
    const ran = await run(sendCommand, [
      'send',
      await file(csv),
      ...type,
      '--decimal',
      mark,
      '--url',
      server.url,
    ])
    expect(ran).toMatchObject({ status: 0, err: '' })
    expect(dataIn(server.received)).toMatchObject([{ value }, { value: '1234.50' }])
  })

  it('is not taken of a whole number either, nor from --set, and --dry-run tells of it', async () => {
    const path = await file(`${header}\nL-1,W-1,"1,234"\n`)
    const shown = await run(sendCommand, ['send', path, ...attended, '--dry-run'])
    expect(shown.out).toMatch(
      /would send 0 events\nwould reject 1, the first on line 2, ambiguous_number: 1,234 is/,
    )
    const set = await run(sendCommand, [
      'send',
      path,
      ...attended,
      '--set',
      'engagementScore=1.234',
      '--dry-run',
    ])
    expect(set).toMatchObject({ status: 2, err: expect.stringContaining('--set engagementScore: 1.234 is') })
  })
})

describe('a quote that is not closed', () => {
  it.each([
    ['in the header', 'leadId,"webinarId,attendanceDuration\nL-1,W-1,60\n', 1],
    ['in a row', `${header}\nL-1,W-1,60\n\nL-2,"W-1,60\nL-3,W-1,60\nL-4,W-1,60\n`, 4],
  ])('is told with its line: %s', async (_, csv, line) => {
    await using server = await scriptedServer(allAccepted)
    const ran = await run(sendCommand, ['send', await file(csv), ...attended, '--url', server.url])
    expect(ran).toMatchObject({
      status: 1,
      err: expect.stringMatching(
        new RegExp(`o\\.csv: a quote \\("\\) begins on line ${line} and is not closed`),
      ),
    })
  })
})

describe('--map on a known export', () => {
  const contacts = 'Record ID,Email,First Name,Contact owner\n101,ada@example.com,Ada,Acme\n'
  const mapped = async (...maps: readonly string[]) =>
    await run(sendCommand, [
      'send',
      await file(contacts),
      ...maps.flatMap((map) => ['--map', map]),
      '--dry-run',
    ])

  it('puts a column into a field, whatever its case', async () => {
    const ran = await mapped('contact owner=company')
    expect(ran.status).toBe(0)
    expect(ran.out).toContain('"company":"Acme"')
  })

  it.each([
    [
      'Contact ownr=company',
      /a column "Contact ownr" that is not there; did you mean "Contact owner"\. .*Record ID/,
    ],
    [
      'Contact owner=compny',
      /a field compny that lead_registered and webinar_attended do not have; .*company/,
    ],
    ['Contact owner=time', /a field time that/],
    ['Contact owner=', /leaves a column out of a CSV that is read with --type/],
  ])('is refused where it would be left aside: %s', async (map, said) => {
    expect(await mapped(map)).toMatchObject({ status: 2, err: expect.stringMatching(said) })
  })
})

describe('two columns that are one field', () => {
  it.each([
    [
      'leadId,webinarId,webinarId,attendanceDuration',
      /2 columns are webinarId: "webinarId", "webinarId"; rename/,
    ],
    ['leadId,webinarId,Webinar ID,attendanceDuration', /"webinarId", "Webinar ID"; .*--map "Webinar ID="/],
  ])('are refused with their names: %s', async (names, said) => {
    const path = await file(`${names}\nL-1,W-1,W-2,60\n`)
    const ran = await run(sendCommand, ['send', path, ...attended, '--url', 'http://127.0.0.1:1'])
    expect(ran).toMatchObject({ status: 2, err: expect.stringMatching(said) })
  })
})

it('a port that HTTP clients never connect to is said to be one', async () => {
  const path = await file(`${header}\nL-1,W-1,60\n`)
  const ran = await run(sendCommand, ['send', path, ...attended, '--url', 'http://127.0.0.1:6667'])
  expect(ran).toMatchObject({ status: 2, err: expect.stringMatching(/6667 has a port .*EMBUDO_PORT/) })
})
