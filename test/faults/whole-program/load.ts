import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../processes.ts'
import type { Program } from '../../program.ts'

/** Events of the funnel of some leads: event n is the same at every call. */
export const funnelEvent = (n: number, leads: number): Record<string, unknown> => {
  const leadId = `L-${n % leads}`
  const round = Math.floor(n / leads)
  const envelope = { id: `load-${n}`, source: 'load', time: new Date(start + n * 1_000).toISOString() }
  switch (round % 5) {
    case 0: {
      const contact = { email: `${leadId}@example.com`, firstName: `Ada ${n}`, company: 'Analytical Engines' }
      return { ...envelope, type: 'lead_registered', data: { leadId, ...contact, source: 'webinar' } }
    }
    case 1: {
      const attended = {
        webinarId: `W-${n % 7}`,
        attendanceDuration: n % 3_600,
        engagementScore: (n % 100) / 100,
      }
      return { ...envelope, type: 'webinar_attended', data: { leadId, ...attended } }
    }
    case 2: {
      const consumed = { contentId: `C-${n % 11}`, contentType: 'article', consumptionTime: n % 600 }
      return { ...envelope, type: 'content_consumed', data: { leadId, ...consumed } }
    }
    case 3: {
      const value = `${n % 500}.${String(n % 100).padStart(2, '0')}`
      const converted = { conversionType: 'course', value, currency: n % 2 === 0 ? 'EUR' : 'USD' }
      return { ...envelope, type: 'conversion_completed', data: { leadId, ...converted } }
    }
    default:
      return { ...envelope, type: 'lead_updated', data: { leadId, company: `Company ${round}` } }
  }
}

/** All in the past, whenever it is run. */
const start = Date.parse('2026-01-01T00:00:00Z')

export const ndjson = (events: readonly unknown[]): string =>
  events.map((event) => `${JSON.stringify(event)}\n`).join('')

export interface Load {
  /** Ends it; answers with the ids of all events that were accepted. */
  stop(): Promise<readonly string[]>
  readonly accepted: number
}

/**
 * Sends batch after batch, each until it has its answer, as a client does that knows what a lost answer means:
 * the same ids again. `everyMs` is from the answer to the next batch.
 */
export const startLoad = (
  program: Program,
  { leads = 500, batch = 50, everyMs = 20, from = 0 } = {},
): Load => {
  const accepted: string[] = []
  const stopping = new AbortController()
  let n = from
  let isAcknowledged = true
  const sendNext = async (): Promise<boolean> => {
    const events = Array.from({ length: batch }, (_, i) => funnelEvent(n + i, leads))
    isAcknowledged = await send(program, events)
    if (isAcknowledged) {
      for (const { id } of events) accepted.push(String(id))
      n += batch
    }
    return isAcknowledged
  }
  const run = async () => {
    while (!stopping.signal.aborted) {
      await sendNext()
      await delay(everyMs)
    }
  }
  const running = run()
  return {
    get accepted() {
      return accepted.length
    },
    async stop() {
      stopping.abort()
      await running
      // What was given up may still come into the log, unseen by whoever reads it next.
      if (!isAcknowledged) await until('the last batch is accepted', sendNext)
      return accepted
    },
  }
}

const send = async (program: Program, events: readonly unknown[]): Promise<boolean> => {
  try {
    // Its address changes when it is started again.
    const address = (await program.readRunFile())?.http
    const response = await fetch(`${address}/api/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: ndjson(events),
      signal: AbortSignal.timeout(30_000),
    })
    await response.arrayBuffer()
    return response.status === 202
  } catch {
    return false
  }
}
