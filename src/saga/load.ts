import { glob } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { EmbudoError } from '../define/error.ts'
import type { SagaDefinition } from '../define/saga.ts'

/**
 * The sagas of a folder: the default exports of `<name>/saga.ts`, and of `<name>/saga.<version>.ts` for versions
 * that are only finished and no longer started.
 */
export const loadSagas = async (folder: string): Promise<SagaDefinition[]> => {
  const files: string[] = []
  for await (const file of glob(['*/saga.ts', '*/saga.*.ts'], { cwd: folder })) files.push(file)
  return Promise.all(
    files.toSorted().map(async (file) => {
      const module = (await import(pathToFileURL(join(folder, file)).href)) as { default?: SagaDefinition }
      if (module.default?.kind !== 'saga') {
        throw new EmbudoError('saga_missing', `${join(folder, file)} has no saga as its default export`)
      }
      return checked(module.default)
    }),
  )
}

/** What the types cannot say. */
export const checked = (definition: SagaDefinition): SagaDefinition => {
  const { name, steps } = definition
  const wrong = (what: string) => new EmbudoError('saga_invalid', `saga ${name}: ${what}`)
  if (steps.length === 0) throw wrong('it needs a step')
  if (new Set(steps.map((step) => step.name)).size < steps.length)
    throw wrong('two of its steps have the same name')
  if (steps.filter((step) => step.isPivot).length > 1) throw wrong('it has more than one pivot')
  if (!(definition.deadlineMs > 0)) throw wrong('its deadline is no duration')
  for (const { name: step, awaits } of steps) {
    if (awaits !== undefined && awaits.verdicts.size === 0) throw wrong(`${step} awaits no event`)
    if (awaits !== undefined && !(awaits.withinMs > 0)) throw wrong(`${step}: within is no duration`)
  }
  return definition
}
