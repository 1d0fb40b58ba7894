import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** What the server does with a request; `lost` reads it and hangs up without an answer. */
export type Scripted =
  | 'lost'
  | { readonly status: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }

export interface Received {
  readonly method: string
  readonly url: string
  /** Of an NDJSON body. */
  readonly lines: readonly Record<string, unknown>[]
}

export interface ScriptedServer extends AsyncDisposable {
  readonly url: string
  readonly received: readonly Received[]
}

/** Answers each request as `script` says, given the request and how many came before it. */
export const scriptedServer = async (
  script: (request: Received, before: number) => Scripted,
): Promise<ScriptedServer> => {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    const got = { method: request.method ?? '', url: request.url ?? '', lines: await linesOf(request) }
    const answer = script(got, received.length)
    received.push(got)
    if (answer === 'lost') {
      request.socket.destroy()
      return
    }
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers })
    response.end(JSON.stringify(answer.body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const allAccepted = ({ lines }: Received): Scripted => ({
  status: 202,
  body: { accepted: lines.length, rejected: 0, errors: [] },
})

const linesOf = async (request: IncomingMessage): Promise<Record<string, unknown>[]> =>
  (await text(request))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
