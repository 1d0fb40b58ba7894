import { join } from 'node:path'
import { withoutPassword } from '../config.ts'
import { EmbudoError } from '../define/error.ts'
import { type UpEvent, up } from '../supervisor/up.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { jsonOption } from './options.ts'
import { coloursOf, printJson, printLine } from './output.ts'

export const upCommand: AddCommand = (program, context) => {
  program
    .command('up')
    .description(
      'start Kafka, registry, Postgres, ClickHouse and every role on this machine; serve until Ctrl-C',
    )
    .addOption(jsonOption())
    .action(async ({ json }: { readonly json?: true }) => {
      await up({
        config: context.config(),
        environment: context.environment,
        main: join(context.root, 'src', 'main.ts'),
        signal: context.signal,
        show: json === true ? jsonShower(context) : shower(context),
      })
    })
}

/** `npx embudo status --json` has the whole addresses. */
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

/** One line once it serves, with the names of `status --json`; the rest is for people. */
export const jsonShower = (context: CommandContext): ((event: UpEvent) => void) => {
  const startedAt = context.now()
  const tell = shower({ ...context, stdout: context.stderr, isTerminal: false })
  return (event) => {
    if (event.is !== 'serving') return tell(event)
    const { http, worker, processes, addresses } = event
    printJson(
      { stdout: context.stdout, isTerminal: false },
      {
        http,
        worker,
        processes,
        kafka: addresses.kafkaBrokers,
        registry: addresses.registryUrl,
        postgres: withoutPassword(addresses.databaseUrl),
        clickhouse: withoutPassword(addresses.clickhouseUrl),
        seconds: (context.now() - startedAt) / 1_000,
      },
    )
  }
}
