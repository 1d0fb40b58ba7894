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

const ndjson = (events: number) =>
  Array.from(
    { length: events },
    (_, n) => `{"type":"webinar_attended","data":{"leadId":"L-${n % 7}","webinarId":"W-1"}}\n`,
  ).join('')
const csv = (events: number) =>
  `leadId,webinarId,attendanceDuration\n${Array.from({ length: events }, (_, n) => `L-${n % 7},W-1,60\n`).join('')}`
const idsIn = (received: readonly Received[]) =>
  received.flatMap(({ lines }) => lines.map(({ id }) => String(id)))

/** Stopped while the second batch was under way, as after a kill: its answer never came. */
const stopped = async (path: string, args: readonly string[]): Promise<string[]> => {
  await using server = await scriptedServer((request, before) =>
    before === 0 ? allAccepted(request) : { status: 429, body: {} },
  )
  const ran = await run(sendCommand, ['send', path, ...args, '--give-up-after', '0.001'], {
    fetch: (to, init) => fetch(String(to).replace('http://embudo.test', server.url), init),
  })
  expect(ran.status).toBe(1)
  return idsIn(server.received)
}
const sentTo = async (path: string, args: readonly string[]): Promise<string[]> => {
  await using server = await scriptedServer(allAccepted)
  const ran = await run(sendCommand, ['send', path, ...args], {
    fetch: (to, init) => fetch(String(to).replace('http://embudo.test', server.url), init),
  })
  expect(ran).toMatchObject({ status: 0, err: '' })
  return idsIn(server.received)
}

describe.each([
  ['NDJSON', 'a.ndjson', ndjson, []],
  ['CSV', 'a.csv', csv, ['--type', 'webinar_attended']],
])('--new-ids of %s', (_, name, content, more) => {
  const args = ['--url', 'http://embudo.test', ...more]
  const newIds = [...args, '--new-ids']
  const written = async () => {
    const path = join(folder, name)
    await writeFile(path, content(5_003))
    return path
  }

  it('are the same ones again where the sending is taken up', async () => {
    for (const how of [newIds, args]) {
      const path = await written()
      const ids = await stopped(path, newIds)
      expect(new Set(ids).size).toBe(5_003)
      expect(await sentTo(path, how)).toEqual(ids.slice(5_000))
      await rm(`${path}.sending.json`)
    }
  })

  it('are others each time that the file is sent as a whole, and than those without it', async () => {
    const path = await written()
    const ids = [
      ...(await sentTo(path, args)),
      ...(await sentTo(path, newIds)),
      ...(await sentTo(path, newIds)),
    ]
    expect(new Set(ids).size).toBe(3 * 5_003)
    expect(await sentTo(path, [...args, '--from-start'])).toEqual(ids.slice(0, 5_003))
  })
})

it('--new-ids go on where lines were added to a file that was not done', async () => {
  const args = ['--url', 'http://embudo.test', '--new-ids']
  const path = join(folder, 'a.ndjson')
  await writeFile(path, ndjson(5_003))
  const ids = await stopped(path, args)
  await writeFile(path, `${await readFile(path, 'utf8')}${ndjson(1)}`)
  const later = await sentTo(path, args)
  expect(later).toHaveLength(4)
  expect(later.slice(0, 3)).toEqual(ids.slice(5_000))
})
