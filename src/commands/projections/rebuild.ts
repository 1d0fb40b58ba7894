import { EmbudoError, isRetriable } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'
import { coloursOf, printJson, printLine, span } from '../output.ts'
import { progressBar } from '../progress.ts'
import { type Server, serverAt } from '../server.ts'
import {
  describeRebuild,
  fetchProjections,
  leftOf,
  type Projection,
  pathOf,
  type Rebuild,
  rateOf,
} from './listing.ts'

export interface RebuildOptions {
  readonly url?: string
  readonly json?: true
  readonly wait: boolean
  readonly hold?: true
  readonly maxPerSecond?: number
  readonly force?: true
}

const pollMs = 500
/** A restart of the server in the middle of a rebuild is no reason to stop looking. */
const silencePatienceMs = 60_000

/** Begins a rebuild and follows it until its rows are read, or with `--hold` until they could be. */
export const rebuildProjection = async (
  name: string,
  options: RebuildOptions,
  context: CommandContext,
): Promise<void> => {
  const server = serverAt(context, options.url)
  const startedAt = context.now()
  const begun = await server.post(pathOf(name, 'rebuild'), {
    ...(options.hold ? { switch: 'manual' } : {}),
    ...(options.force ? { force: true } : {}),
    ...(options.maxPerSecond === undefined ? {} : { maxPerSecond: options.maxPerSecond }),
  })
  if (!options.wait) {
    if (options.json) printJson(context, begun ?? { name, state: 'begun' })
    else
      printLine(context, `The rebuild of ${name} has begun; \`embudo projections list\` shows how far it is.`)
    return
  }
  const bar = progressBar(context, `${name}  {bar} {percentage}%  {rate}  ETA {left}  {note}`, 100, {
    rate: '-',
    left: '-',
    note: '',
  })
  try {
    const line = progressLine(context)
    const generation = generationIn(begun)
    const last = await untilDone(name, generation, options, server, context, (running) => {
      bar.update(running.percent ?? 0, { rate: rateOf(running), left: leftOf(running), note: running.state })
      line(`${name}  ${describeRebuild(running)}`)
    })
    const state = last.rebuild?.state ?? 'live'
    bar.update(100, { left: '0 s', note: state })
    bar.stop()
    const ms = context.now() - startedAt
    if (options.json)
      return printJson(context, { name, state, version: last.version, generation, seconds: ms / 1_000 })
    const { green } = coloursOf(context.isTerminal)
    const outcome =
      state === 'live'
        ? `${name} is rebuilt; readers see the new generation after ${span(ms)}`
        : `${name} is rebuilt after ${span(ms)}, and nobody sees it yet: \`embudo projections verify ${name}\` compares it, \`switch ${name}\` shows it`
    printLine(context, `${green(state)}  ${outcome}`)
  } finally {
    bar.stop()
  }
}

const lineEveryMs = 5_000

/** Where no bar can be shown, in a log for example, a line now and then says that it goes on. */
const progressLine = ({ stderr, showsProgress, now }: CommandContext): ((text: string) => void) => {
  let nextAt = Number.NEGATIVE_INFINITY
  return (text) => {
    if (showsProgress || now() < nextAt) return
    nextAt = now() + lineEveryMs
    stderr.write(`${text}\n`)
  }
}

const untilDone = async (
  name: string,
  generation: number | undefined,
  { hold }: RebuildOptions,
  server: Server,
  context: CommandContext,
  show: (rebuild: Rebuild) => void,
): Promise<Projection> => {
  let heardAt = context.now()
  for (;;) {
    try {
      const found = (await fetchProjections(server)).items.find((item) => item.name === name)
      heardAt = context.now()
      if (found === undefined)
        throw new EmbudoError('unknown_projection', `the server has no projection ${name} any more`)
      const running = found.rebuild
      if (!running || running.state === 'live') {
        expectLive(found, generation)
        return found
      }
      if (hold && ['caught up', 'verified', 'differs'].includes(running.state)) return found
      expectGoesOn(found, running)
      show(running)
    } catch (error) {
      if (!context.signal.aborted && !(isRetriable(error) && context.now() - heardAt < silencePatienceMs))
        throw error
    }
    if (!context.signal.aborted) await context.wait(pollMs)
    if (context.signal.aborted) {
      throw new EmbudoError(
        'interrupted',
        `no longer looking; the rebuild of ${name} goes on in the server, and \`embudo projections list\` shows it`,
      )
    }
  }
}

/** It may have been given up meanwhile. */
const expectLive = ({ name, generations }: Projection, generation: number | undefined): void => {
  const live = generations?.find(({ state }) => state === 'live')?.generation
  if (live === undefined || generation === undefined || live >= generation) return
  throw new EmbudoError('rebuild_dropped', `the rebuild of ${name} was given up; readers see what they saw`)
}

const expectGoesOn = (found: Projection, { state }: Rebuild): void => {
  const { name } = found
  if (state === 'failed') {
    throw new EmbudoError(
      'rebuild_failed',
      `the rebuild of ${name} failed${reasonIn(found)}; readers still see the old generation`,
    )
  }
  if (state === 'differs') {
    throw new EmbudoError(
      'rebuild_differs',
      `${name} is rebuilt, and its rows differ from those that are read: \`embudo projections verify ${name}\` says how; then \`switch ${name}\` shows them, or \`drop ${name} --building\` gives them up`,
    )
  }
}

/** The first partition that stopped says why. */
const reasonIn = ({ positions, rebuild }: Projection): string => {
  const error = rebuild?.error ?? positions?.find((position) => position.error)?.error
  return error ? `: ${error}` : ''
}

const generationIn = (begun: unknown): number | undefined => {
  const generation = (begun as { generation?: unknown } | undefined)?.generation
  return typeof generation === 'number' ? generation : undefined
}
