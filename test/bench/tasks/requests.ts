import { attendanceAt, workload } from '../workload.ts'

/** Requests as they go over a plain socket: an HTTP client library would take more of the cores than the server. */
export const singleEventRequest = (port: number, index: number): Buffer =>
  request(port, 'application/json', eventText(index))

export const linesRequest = (port: number, at: number, events: number): Buffer =>
  request(
    port,
    'application/x-ndjson',
    Array.from({ length: events }, (_, index) => eventText(at * events + index)).join('\n'),
  )

/** Undefined until the answer is whole. */
export const statusOf = (text: string): number | undefined => {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return undefined
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head + 2))?.[1]
  if (length === undefined) throw new Error(`an answer without a length: ${text.slice(0, 300)}`)
  return text.length < head + 4 + Number(length) ? undefined : Number(text.slice(9, 12))
}

const eventText = (index: number): string =>
  JSON.stringify({ type: workload.type, source: 'bench', data: attendanceAt(index) })

const request = (port: number, type: string, body: string): Buffer =>
  Buffer.from(
    `POST /api/events HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
