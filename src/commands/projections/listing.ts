import * as z from 'zod'
import { EmbudoError } from '../../define/error.ts'
import { count, span } from '../output.ts'
import type { Server } from '../server.ts'

const generation = z.looseObject({
  generation: z.number(),
  state: z.string(),
  error: z.string().nullish(),
})

/** As the interface says; what it may say besides is passed on with --json. */
const projection = z.looseObject({
  name: z.string(),
  kind: z.string(),
  version: z.number(),
  state: z.string(),
  lag: z.number().nullish(),
  positions: z.array(z.looseObject({ error: z.string().nullish() })).optional(),
  rebuild: z
    .looseObject({
      state: z.string(),
      generation: z.number().optional(),
      percent: z.number().nullish(),
      eventsPerSecond: z.number().nullish(),
      etaSeconds: z.number().nullish(),
      error: z.string().nullish(),
    })
    .nullish(),
  generations: z.array(generation).optional(),
})
export type Projection = z.output<typeof projection>
export type Rebuild = NonNullable<Projection['rebuild']>

const page = z.looseObject({ items: z.array(projection) })

export const fetchProjections = async (server: Server): Promise<z.output<typeof page>> => {
  const answer = page.safeParse(await server.get('/api/projections'))
  if (answer.success) return answer.data
  throw new EmbudoError(
    'unexpected_answer',
    `the list of projections is not as expected: ${z.prettifyError(answer.error)}`,
  )
}

export const pathOf = (name: string, what: string): string =>
  `/api/projections/${encodeURIComponent(name)}/${what}`

export const describeGeneration = ({ generation: number, state, error }: z.output<typeof generation>) =>
  error ? `${number} ${state} (failed)` : `${number} ${state}`

export const describeRebuild = (running: Rebuild): string =>
  [`${running.state} ${Math.floor(running.percent ?? 0)}%`, rateOf(running), `ETA ${leftOf(running)}`].join(
    '  ',
  )

export const rateOf = ({ eventsPerSecond }: Rebuild): string =>
  eventsPerSecond ? `${count(Math.round(eventsPerSecond))}/s` : '-'

export const leftOf = ({ etaSeconds }: Rebuild): string =>
  etaSeconds === undefined || etaSeconds === null ? '-' : span(Math.round(etaSeconds) * 1_000)
