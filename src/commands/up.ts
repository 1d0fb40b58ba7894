import { join } from 'node:path'
import { EmbudoError } from '../define/error.ts'
import { type UpEvent, up } from '../supervisor/up.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { coloursOf, printLine } from './output.ts'

export const upCommand: AddCommand = (program, context) => {
  program
    .command('up')
    .description(
      'start Kafka, registry, Postgres, ClickHouse and every role on this machine; serve until Ctrl-C',
    )
    .action(async () => {
      await up({
        config: context.config(),
        environment: context.environment,
        main: join(context.root, 'src', 'main.ts'),
        signal: context.signal,
        show: shower(context),
      })
    })
}

const shower = (context: CommandContext): ((event: UpEvent) => void) => {
  const { bold, dim, green, yellow } = coloursOf(context.isTerminal)
  const startedAt = context.now()
  const line = (text: string) => printLine(context, text)
  return (event) => {
    switch (event.is) {
      case 'progress':
        return line(`${dim(event.part.padEnd(11))} ${event.what}`)
      case 'notice':
        return line(`${yellow(event.part.padEnd(11))} ${event.line}`)
      case 'serving': {
        const seconds = ((context.now() - startedAt) / 1_000).toFixed(1)
        const { kafkaBrokers, registryUrl, databaseUrl, clickhouseUrl } = event.addresses
        const rows = [
          ['events', `POST ${event.http}/api/events`],
          ['docs', `${event.http}/docs`],
          ['health', `${event.http}/health`],
          ['metrics', `${event.http}/metrics and ${event.worker}/metrics`],
          ['kafka', kafkaBrokers],
          ['registry', registryUrl],
          ['postgres', withoutPassword(databaseUrl)],
          ['clickhouse', withoutPassword(clickhouseUrl)],
        ]
        line('')
        const several = event.processes > 1 ? `, ${event.processes} processes take requests` : ''
        line(`${green('embudo is up')} after ${seconds} s${several}`)
        for (const [name, where] of rows) line(`  ${dim(name!.padEnd(11))} ${bold(where!)}`)
        line(dim('  try `npx embudo demo`; Ctrl-C stops everything, data stays'))
        return line('')
      }
      case 'stopping':
        return line('stopping')
      default:
        throw new EmbudoError('unreachable', JSON.stringify(event satisfies never))
    }
  }
}

/** `npx embudo status --json` has the whole addresses. */
const withoutPassword = (url: string): string => url.replace(/:\/\/([^:/@]*):[^@]*@/, '://$1:***@')
