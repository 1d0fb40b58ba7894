import { until } from '../../processes.ts'
import { finished, type Program } from '../../program.ts'
import { projections } from './oracle.ts'

/** What a command or an answer says where trying again will do. */
export const mayPass = /no embudo answers|try again/

/**
 * What a command prints that has to succeed, asked again where that will do. `heard`: what it is told the second time
 * where it was done the first time and the answer came too late.
 */
export const ask = async (program: Program, args: readonly string[], heard?: RegExp): Promise<string> => {
  const command = `embudo ${args.join(' ')}`
  let said = ''
  let isAgain = false
  await until(`${command} is done`, async () => {
    const { status, stdout, stderr } = await finished(program.command(...args))
    said = stdout
    if (status === 0 || (isAgain && heard?.test(stderr))) return true
    if (!mayPass.test(stderr)) throw new Error(`${command} ended with ${status}: ${stderr}`)
    isAgain = true
    return false
  })
  return said
}

/** Until the new generation is what is read. */
export const rebuild = async (program: Program, name: string): Promise<void> => {
  await ask(program, ['projections', 'rebuild', name], /is being rebuilt already/)
  await until(`the rebuilt generation of ${name} is live`, async () => {
    const items = await projections(program.run)
    return items?.find((item) => item.name === name)?.rebuild === null
  })
}

/** The JSON at an address, asked again where nobody can say now. */
export const get = async (program: Program, path: string): Promise<unknown> => {
  let answer: unknown
  await until(`${path} is answered`, async () => {
    const response = await fetch(`${program.run.http}${path}`).catch(() => undefined)
    if (response === undefined || response.status === 503) return false
    answer = await response.json()
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`)
    return true
  })
  return answer
}
