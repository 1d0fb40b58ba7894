import { EmbudoError, messageOf } from '../../define/error.ts'
import type { CommandContext } from '../context.ts'
import { count } from '../output.ts'
import { ahead, batches } from './batches.ts'
import type { EventLine } from './event-line.ts'
import { type FileEventsOptions, fileEvents } from './file-events.ts'
import type { PlannedFile } from './file-plan.ts'
import type { RejectsFile } from './rejects.ts'
import { linesAtRate, type Sender } from './sender.ts'
import { identityOf, type SendingState, type Standing, writeState } from './sending-state.ts'
import type { Skipped } from './skipped.ts'
import type { Source } from './source-file.ts'

export interface SendFileOptions {
  readonly context: CommandContext
  readonly events: FileEventsOptions
  /** What was sent before are new events. */
  readonly newIds: boolean
  readonly to: string
  readonly as: string
  readonly rate: number | undefined
  readonly sender: Sender<EventLine>
  readonly rejects: RejectsFile
  readonly skipped: Skipped
  readonly bytesBefore: number
  /** Called after each batch with how many events of the file are through. */
  readonly onThrough: (file: Source, events: number) => void
}

/** As many as are answered together: fewer, and the way there and back counts; more, and more is sent twice. */
const linesTogether = 5_000
/** Of standard input: what is there is sent after so long. */
const idleMs = 100

/** One file, or what is left of it; how far it is is written down as answers come. */
export const sendFile = async (
  { source, plan }: PlannedFile,
  found: Standing,
  options: SendFileOptions,
): Promise<void> => {
  const { context, sender, rejects, skipped, rate } = options
  const before = found.is === 'new' ? undefined : found.state
  const seed = seedOf(before, options)
  const begun = await stateOf(source, before, seed, options)
  const remember = rememberer(source, rejects, context)
  const acceptedBefore = sender.delivery.accepted
  const rejectedBefore = rejects.count
  let done = before?.done ?? 0
  let line = before?.line ?? 0
  const events = fileEvents(source, plan, { ...options.events, seed, onSkipped: skipped.add })
  const remaining = before === undefined ? events : after(before.done, events)
  const limits = { lines: linesAtRate(rate, linesTogether), idleMs: source.path === '-' ? idleMs : undefined }
  // A file that was never made says nothing: the one before is where the rejects of this file stand.
  const rejectsNow = () =>
    rejects.bytes === 0 && before !== undefined
      ? { rejects: before.rejects, rejectsBytes: before.rejectsBytes, rejectsDigest: before.rejectsDigest }
      : { rejects: rejects.path, rejectsBytes: rejects.bytes, rejectsDigest: rejects.digest }
  const stateNow = (finishedAt: string | null): SendingState | undefined =>
    begun === undefined
      ? undefined
      : {
          ...begun,
          done,
          line,
          accepted: begun.accepted + sender.delivery.accepted - acceptedBefore,
          rejected: begun.rejected + rejects.count - rejectedBefore,
          ...rejectsNow(),
          finishedAt,
        }
  remember(stateNow(null))
  for await (const batch of ahead(batches(remaining, limits), context.signal)) {
    const toSend = batch.some(({ refused }) => refused !== undefined)
      ? batch.filter(({ refused }) => refused === undefined)
      : batch
    try {
      await sender.send(toSend, options.bytesBefore + source.bytesRead())
    } catch (error) {
      const isStopped = error instanceof EmbudoError && error.code === 'interrupted'
      throw isStopped ? interrupted(source, sender, line, done) : error
    }
    for (const event of batch) if (event.refused !== undefined) rejects.add(source.name, event, event.refused)
    done += batch.length
    line = batch.at(-1)!.number
    remember(stateNow(null))
    options.onThrough(source, done)
  }
  if (context.signal.aborted) throw interrupted(source, sender, line, done)
  remember(stateNow(new Date(context.now()).toISOString()))
}

/** Without the first `count` events: they have their answer. */
async function* after(count: number, groups: AsyncIterable<EventLine[]>): AsyncGenerator<EventLine[]> {
  let left = count
  for await (const group of groups) {
    if (left >= group.length) left -= group.length
    else if (left === 0) yield group
    else {
      const rest = group.slice(left)
      left = 0
      yield rest
    }
  }
}

/** A sending that goes on keeps the ids that it began with, also where it is taken up without --new-ids. */
const seedOf = (before: SendingState | undefined, options: SendFileOptions): string | undefined =>
  (before?.finishedAt === null ? before.seed : undefined) ??
  (options.newIds ? options.events.newId() : undefined)

/** Of a file; undefined for standard input, which cannot be taken up again. */
const stateOf = async (
  source: Source,
  before: SendingState | undefined,
  seed: string | undefined,
  options: SendFileOptions,
): Promise<SendingState | undefined> =>
  source.path === '-'
    ? undefined
    : {
        format: 'embudo-sending-1',
        ...(await identityOf(source)),
        to: options.to,
        as: options.as,
        done: 0,
        line: 0,
        accepted: before?.accepted ?? 0,
        rejected: before?.rejected ?? 0,
        rejects: options.rejects.path,
        rejectsBytes: before?.rejectsBytes ?? 0,
        rejectsDigest: before?.rejectsDigest ?? '',
        seed,
        finishedAt: null,
      }

/** Where nothing can be written beside the file, it is sent all the same, and said once. */
const rememberer = ({ path }: Source, rejects: RejectsFile, { stderr }: CommandContext) => {
  let hasFailed = false
  return (state: SendingState | undefined): void => {
    if (state === undefined || hasFailed) return
    try {
      // What the state says of them must be there whenever it is.
      rejects.sync()
      writeState(path, state)
    } catch (error) {
      hasFailed = true
      stderr.write(
        `embudo: how far it is cannot be kept beside ${path} (${messageOf(error)}): after a stop it begins anew\n`,
      )
    }
  }
}

const interrupted = (source: Source, sender: Sender<EventLine>, line: number, done: number): EmbudoError => {
  const message =
    source.path === '-'
      ? `stopped: ${count(sender.sent)} events were taken from standard input, up to line ${count(line)}; it cannot be taken up again`
      : `stopped after ${count(done)} events of ${source.name}; the same command goes on from there`
  return new EmbudoError('interrupted', message, { retriable: true })
}
