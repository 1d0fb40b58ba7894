import { randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Started } from './started.ts'

export interface Senders {
  /** Ids of events that were answered with 202. */
  readonly accepted: readonly string[]
  /** How requests ended: by status, or by the code of the error. */
  readonly outcomes: Readonly<Record<string, number>>
  stop(): Promise<void>
}

/**
 * Clients at full speed, each with one request under way, that send again what was not accepted. `fresh`: a
 * connection for each request. `together`: events of one request.
 */
export const startSenders = (to: Started, { senders = 8, fresh = false, together = 1 } = {}): Senders => {
  // Nothing that others sent is taken for what these did.
  const name = randomUUID().slice(0, 8)
  const accepted: string[] = []
  const outcomes: Record<string, number> = {}
  const agent = new Agent({ keepAlive: !fresh })
  let isOver = false
  const run = async (sender: number) => {
    for (let n = 0; !isOver; n++) {
      const ids = Array.from({ length: together }, (_, at) => `${name}-${sender}-${n}-${at}`)
      while (!isOver) {
        const outcome = await post(
          to.address,
          agent,
          together === 1 ? event(ids[0]!) : `[${ids.map(event).join()}]`,
        )
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
        if (outcome === '202') {
          accepted.push(...ids)
          break
        }
        await delay(5)
      }
    }
  }
  const running = Promise.all(Array.from({ length: senders }, (_, sender) => run(sender)))
  return {
    accepted,
    outcomes,
    async stop() {
      isOver = true
      await running
      agent.destroy()
    },
  }
}

export const event = (id: string): string =>
  JSON.stringify({
    id,
    source: 'senders',
    type: 'webinar_attended',
    data: { leadId: `L-${id}`, webinarId: 'W-1', attendanceDuration: 60, engagementScore: 0.5 },
  })

const post = (address: string, agent: Agent, body: string): Promise<string> =>
  new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sent = request(`${address}/api/events`, { method: 'POST', agent, headers }, (response) => {
      // What was answered is only known when the answer has come whole.
      response.resume().on('end', () => resolve(String(response.statusCode)))
      response.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    })
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    sent.end(body)
  })
