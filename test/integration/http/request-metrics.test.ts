import { connect } from 'node:net'
import { expect, it } from 'vitest'
import { until } from '../../processes.ts'
import { attended, startFace } from './http-face.ts'

it('each answer is counted under its own class of status, and none where nobody was answered', async () => {
  await using face = await startFace({ limits: { maxBodyBytes: 2_000 } })
  const counts = async () => {
    const text = await (await fetch(`${face.url}/metrics`)).text()
    const lines = text.matchAll(/^embudo_ingest_request_seconds_count\{status="(\dxx)"\} (\d+)$/gm)
    return Object.fromEntries([...lines].map(([, status, count]) => [status, Number(count)]))
  }
  const statuses = [
    await face.post(JSON.stringify(attended())),
    await face.post('{'),
    await face.post('x', { 'content-type': 'text/plain' }),
    await face.post('x'.repeat(3_000)),
    await face.post('{"type":"nope","data":{}}'),
  ].map(({ status }) => status)
  expect(statuses).toEqual([202, 400, 415, 413, 422])
  expect(await counts()).toMatchObject({ '2xx': 1, '4xx': 4 })

  const client = connect(face.port, '127.0.0.1')
  client.write(
    'POST /api/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{',
  )
  await until('it is held', () => face.admission.heldBytes > 0)
  client.destroy()
  await until('nothing is held', () => face.admission.heldBytes === 0)
  expect(await counts()).toMatchObject({ '2xx': 1, '4xx': 4 })
})
