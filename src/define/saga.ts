import { type Duration, durationMs } from './duration.ts'
import type { DomainEvent, EventOf, EventType, NewEvent } from './event.ts'

/**
 * What is done about an event: steps in order, each with the undo that takes it back. A saga ends completed,
 * compensated in reverse order, or parked for an operator. One saga of a name is run for each subject.
 */
export interface SagaDefinition {
  readonly kind: 'saga'
  readonly name: string
  /** Raise it when the steps change; sagas begun under a version are finished by that version's definition. */
  readonly version: number
  readonly startedBy: EventType
  /** A saga that has not come to its pivot by then is compensated. */
  readonly deadlineMs: number
  readonly effects: Effects<unknown>
  readonly steps: readonly StepDefinition[]
  readonly compensated: ((context: CompensatedContext<EventType>) => readonly NewEvent[]) | undefined
}

export interface StepDefinition {
  readonly name: string
  readonly call: (context: StepContext<unknown, EventType>) => Promise<Outcome>
  readonly undo: ((context: UndoContext<unknown, EventType>) => Promise<Done>) | undefined
  readonly awaits: AwaitsDefinition | undefined
  /** From the moment the pivot is called there is no way back: what fails is tried until it works. */
  readonly isPivot: boolean
  readonly retry: RetryPolicy
}

export interface AwaitsDefinition {
  readonly verdicts: ReadonlyMap<string, Verdict<DomainEvent<never>>>
  /** The subject of the saga that an event is for. */
  readonly by: (event: DomainEvent<never>) => string
  readonly withinMs: number
}

export interface RetryPolicy {
  /** How often a call, or an undo, may fail. */
  readonly attempts: number
  readonly baseDelayMs: number
  readonly maxDelayMs: number
  /** How long one attempt may take; after that its signal aborts and it counts as failed. */
  readonly timeoutMs: number
}

export interface StepContext<Ports, Started extends EventType> {
  readonly ports: Ports
  readonly saga: { readonly id: string; readonly subject: string; readonly startedAt: string }
  readonly start: EventOf<Started>
  /** What earlier steps answered, by step. */
  readonly results: Readonly<Record<string, unknown>>
  /** The same for every attempt: an effect is done once for each key. */
  readonly idempotencyKey: string
  /** From 1. */
  readonly attempt: number
  readonly signal: AbortSignal
}

export interface UndoContext<Ports, Started extends EventType> extends StepContext<Ports, Started> {
  /**
   * The key of the call to take back. Whether that was done is not always known: an undo answers done where
   * there is nothing to take back, and sees to it that a call with this key that comes later does nothing.
   */
  readonly undoes: string
  readonly reason: string
}

export type CompensatedContext<Started extends EventType> = Pick<
  UndoContext<unknown, Started>,
  'saga' | 'start' | 'results' | 'reason'
>

export type Outcome = Done | Refused

export interface Done {
  readonly is: 'done'
  readonly result: unknown
  readonly emit: readonly NewEvent[]
}

/** A business no: nothing was done, nothing will be, and trying again would not change it. */
export interface Refused {
  readonly is: 'refused'
  readonly reason: string
}

export const done = ({ result, emit }: { result?: unknown; emit?: readonly NewEvent[] } = {}): Done => ({
  is: 'done',
  result: result ?? null,
  emit: emit ?? [],
})

export const refused = (reason: string): Refused => ({ is: 'refused', reason })

/** What an awaited event means for the step that waits. Pure. */
export type Verdict<Event> = (event: Event) => Outcome

export const succeed: Verdict<DomainEvent> = (event) => done({ result: event.data })

export const fail: Verdict<DomainEvent> = (event) => {
  const { reason } = event.data as { reason?: unknown }
  return refused(typeof reason === 'string' && reason !== '' ? reason : event.type)
}

/** The outside world as the steps see it, and how it is joined to what the runtime has. */
export interface Effects<Ports> {
  /** SQL that makes the tables they keep for themselves. Run at every start: `create ... if not exists`. */
  readonly tables?: string
  readonly connect: (tools: EffectTools) => Ports
}

export interface EffectTools {
  /** One statement, committed by itself. */
  readonly sql: (text: string, parameters?: readonly unknown[]) => Promise<Record<string, unknown>[]>
  readonly append: (event: NewEvent) => Promise<void>
  readonly now: () => Date
  /** Runs `work` over and over, never twice at once, in every process that runs sagas; errors are logged. */
  readonly repeat: (everyMs: number, work: () => Promise<void>) => void
}

interface SagaInput<Ports, Started extends EventType> {
  readonly name: string
  readonly version: number
  readonly startedBy: Started
  readonly deadline: Duration
  readonly effects: Effects<Ports>
  readonly steps: readonly Step<Ports, Started>[]
  /** What the log is told when everything has been taken back. */
  readonly compensated?: (context: CompensatedContext<Started>) => readonly NewEvent[]
}

export const saga = <Ports, const Started extends EventType>(
  input: SagaInput<Ports, Started>,
): SagaDefinition =>
  ({
    ...input,
    kind: 'saga',
    deadlineMs: durationMs(input.deadline),
    compensated: input.compensated,
  }) as unknown as SagaDefinition

/** A step whose context is not erased yet. */
export interface Step<Ports, Started extends EventType> extends Omit<StepDefinition, 'call' | 'undo'> {
  readonly call: (context: StepContext<Ports, Started>) => Promise<Outcome>
  readonly undo: ((context: UndoContext<Ports, Started>) => Promise<Done>) | undefined
}

/** Event types with what each means, beside `by` and `within`; mapped by its keys so that the compiler can infer them. */
type Awaiting<Keys extends string> = {
  readonly [Key in Keys]: Key extends EventType
    ? Verdict<EventOf<Key>>
    : Key extends 'by'
      ? (event: EventOf<Extract<Keys, EventType>>) => string
      : Key extends 'within'
        ? Duration
        : never
} & { readonly by: unknown; readonly within: unknown }

interface StepInput<Ports, Started extends EventType, Keys extends string> {
  readonly call: (context: StepContext<Ports, Started>) => Promise<Outcome>
  readonly undo?: (context: UndoContext<Ports, Started>) => Promise<Done>
  /** The step is done when one of these events says so; `within` counts from the end of its call. */
  readonly awaits?: Awaiting<Keys>
  readonly pivot?: boolean
  readonly retry?: Partial<RetryPolicy>
}

export const step = <Ports, Started extends EventType, Keys extends string>(
  name: string,
  { call, undo, awaits, pivot, retry }: StepInput<Ports, Started, Keys>,
): Step<Ports, Started> => ({
  name,
  call,
  undo,
  awaits: awaits === undefined ? undefined : awaitsOf(awaits),
  isPivot: pivot ?? false,
  retry: { ...defaultRetry, ...retry },
})

/** Six attempts over about six seconds: a restart of the other side, not an outage of it. */
const defaultRetry: RetryPolicy = { attempts: 6, baseDelayMs: 200, maxDelayMs: 30_000, timeoutMs: 10_000 }

const awaitsOf = (awaits: { readonly by: unknown; readonly within: unknown }): AwaitsDefinition => {
  const { by, within, ...verdicts } = awaits
  return {
    by: by as AwaitsDefinition['by'],
    withinMs: durationMs(within as Duration),
    verdicts: new Map(Object.entries(verdicts)) as unknown as AwaitsDefinition['verdicts'],
  }
}
