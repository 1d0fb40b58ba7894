import { describeConfig } from '../config.ts'
import type { AddCommand } from './context.ts'
import { jsonOption } from './options.ts'
import { coloursOf, printJson, printLine, printTable } from './output.ts'

export const configCommand: AddCommand = (program, context) => {
  program
    .command('config')
    .description('every setting, its value and what it is for')
    .addOption(jsonOption())
    .action(({ json }: { json?: true }) => {
      const items = describeConfig(context.environment)
      if (json) printJson(context, { items })
      else {
        const { bold, dim } = coloursOf(context.isTerminal)
        const rows = items.map(({ name, value, isDefault, help }) => [
          name,
          isDefault ? dim(value === '' ? '-' : value) : bold(value),
          help,
        ])
        printTable(context, [{ title: 'setting' }, { title: 'value' }, { title: 'what it is' }], rows)
        printLine(context)
        printLine(context, dim('Set in the environment; values that are not the default stand out.'))
      }
      // A wrong one fails the command, after the table that helps to mend it.
      context.config()
    })
}
