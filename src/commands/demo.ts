import { EmbudoError } from '../define/error.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { demoEvents, leadsTogether } from './demo/demo-events.ts'
import type { DemoEvent } from './demo/event.ts'
import { Ledger } from './demo/ledger.ts'
import { dayMs } from './demo/market.ts'
import { day, jsonOption, positiveNumber, urlOption, wholeNumber } from './options.ts'
import { coloursOf, count, perSecond, printJson, printLine, printTable, rate, span } from './output.ts'
import type { RefusedEvent } from './sending/answer.ts'
import { batches } from './sending/batches.ts'
import type { Delivery, Line } from './sending/delivery.ts'
import { linesAtRate, Sender } from './sending/sender.ts'

interface Options {
  readonly leads: number
  readonly seed: number
  readonly until?: number
  readonly rate?: number
  readonly timeout: number
  readonly ledger?: string
  readonly url?: string
  readonly json?: true
}

export const demoCommand: AddCommand = (program, context) => {
  program
    .command('demo')
    .description('a believable stream of funnel events, the same for the same seed')
    .option('--leads <n>', 'how many leads; each has about seven events', wholeNumber(1, 10_000_000), 1_000)
    .option('--seed <n>', 'which story is told', wholeNumber(0, 2 ** 31 - 1), 1)
    .option('--until <day>', 'where its 60 days end, as 2026-11-20 (default: today)', day)
    .option('--rate <events/s>', 'how fast it is told (default: as fast as it goes)', positiveNumber)
    .option('--timeout <seconds>', 'give up after so long without progress', positiveNumber, 120)
    .option('--ledger <file>', 'write down every event that was accepted')
    .addOption(urlOption())
    .addOption(jsonOption())
    .action(async (options: Options) => await demo(options, context))
}

interface DemoLine extends Line {
  readonly event: DemoEvent
}

const demo = async (options: Options, context: CommandContext): Promise<void> => {
  const { leads, seed } = options
  const untilMs = options.until ?? Math.floor(context.now() / dayMs) * dayMs
  using ledger = options.ledger === undefined ? undefined : new Ledger(options.ledger)
  const tally = new Tally()
  const sender = new Sender<DemoLine>({
    context,
    url: options.url,
    giveUpAfterMs: options.timeout * 1_000,
    rate: options.rate,
    total: leads,
    onAccepted: (lines) => {
      const events = lines.map(({ event }) => event)
      ledger?.add(events)
      tally.accept(events)
    },
    onRejected: ({ event }, error) => tally.reject(event, error),
  })
  const { delivery } = sender
  const limits = { lines: linesAtRate(options.rate, linesTogether) }
  let toldLeads = 0
  try {
    using _ = sender
    for (const events of demoEvents({ leads, seed, untilMs })) {
      const leadsHere = Math.min(leadsTogether, leads - toldLeads)
      const told = toldLeads
      let sentHere = 0
      for await (const batch of batches([lines(events)], limits)) {
        sentHere += batch.length
        toldLeads = told + Math.floor((leadsHere * sentHere) / events.length)
        await sender.send(batch, toldLeads)
      }
    }
  } finally {
    const summary = { delivery, tally, sent: sender.sent, ms: sender.ms, seed, url: options.url }
    if (!delivery.foundNobody) printSummary(summary, options.json === true, context)
  }
  if (delivery.rejected > 0) {
    const detail = `${count(delivery.rejected)} events were not accepted: are the schemas those of this version?`
    throw new EmbudoError('events_rejected', detail)
  }
}

const lines = (events: readonly DemoEvent[]): DemoLine[] =>
  events.map((event) => ({ event, text: JSON.stringify(event) }))

/** An answer names as many errors: one that is unclear would make a ledger that lies. */
const linesTogether = 1_000

class Tally {
  readonly byType: Record<string, number> = {}
  firstError: (RefusedEvent & { readonly id: string }) | undefined

  accept(events: readonly DemoEvent[]): void {
    for (const { type } of events) this.byType[type] = (this.byType[type] ?? 0) + 1
  }

  reject({ id }: DemoEvent, error: RefusedEvent): void {
    this.firstError ??= { ...error, id }
  }
}

interface Summary {
  readonly delivery: Delivery<DemoLine>
  readonly tally: Tally
  readonly sent: number
  readonly ms: number
  readonly seed: number
  readonly url: string | undefined
}

const printSummary = (
  { delivery, tally, sent, ms, seed, url }: Summary,
  asJson: boolean,
  context: CommandContext,
): void => {
  const { accepted, rejected, resentUnknown, position } = delivery
  if (asJson) {
    printJson(context, {
      sent,
      accepted,
      rejected,
      duplicateRisk: resentUnknown,
      lastPosition: position ?? null,
      byType: tally.byType,
      seconds: ms / 1_000,
      perSecond: Math.round(perSecond(accepted, ms)),
      firstError: tally.firstError ?? null,
    })
    return
  }
  const { green, red, dim } = coloursOf(context.isTerminal)
  const rows = Object.entries(tally.byType)
    .toSorted(([, a], [, b]) => b - a)
    .map(([type, events]) => [type, count(events)])
  if (rows.length > 0) printTable(context, [{ title: 'event' }, { title: 'accepted', align: 'right' }], rows)
  printLine(context)
  printLine(context, `${green('accepted')}  ${count(accepted)} events in ${span(ms)}, ${rate(accepted, ms)}`)
  if (rejected > 0) {
    const { id, field, detail } = tally.firstError!
    printLine(context, `${red('rejected')}  ${count(rejected)}; the first one was ${id}: ${field} ${detail}`)
  }
  if (resentUnknown > 0)
    printLine(context, dim(`${count(resentUnknown)} were sent again after a lost answer, with the same ids`))
  if (accepted > 0) printLine(context, dim(`one of the leads: ${context.baseUrl(url)}/api/leads/L-${seed}-1`))
}
