import * as z from 'zod'
import { EmbudoError } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'
import { printJson, printLine } from '../output.ts'
import { serverAt } from '../server.ts'
import { pathOf } from './listing.ts'

const generation = z.looseObject({ generation: z.number(), state: z.string() })

/** Asks for one thing to be done with a projection's generations, and says what came of it. */
export const changeProjection = async (
  name: string,
  what: keyof typeof outcomes,
  body: object | undefined,
  options: { readonly url?: string; readonly json?: true },
  context: CommandContext,
): Promise<void> => {
  const answer = await serverAt(context, options.url).post(pathOf(name, what), body)
  if (options.json) return printJson(context, answer)
  const parsed = generation.safeParse(answer)
  if (!parsed.success)
    throw new EmbudoError('unexpected_answer', `not as expected: ${z.prettifyError(parsed.error)}`)
  printLine(context, outcomes[what](name, parsed.data))
}

const outcomes = {
  switch: (name, { generation }) => `Readers of ${name} see generation ${generation}.`,
  rollback: (name, { generation }) => `Readers of ${name} see generation ${generation}.`,
  pause: (name, { generation, state }) =>
    `Generation ${generation} of ${name} (${state}) rests; \`embudo projections resume ${name}\` feeds it again.`,
  resume: (name, { generation, state }) => `Generation ${generation} of ${name} (${state}) goes on.`,
  drop: (name, { generation }) => `Generation ${generation} of ${name} is given up; its rows go in a moment.`,
} as const satisfies Record<string, (name: string, found: z.output<typeof generation>) => string>
