import type { Line } from './delivery.ts'

export interface BatchLimits {
  readonly lines: number
  /** Sends what is there once nothing more has come for so long; undefined waits for the batch to be full. */
  readonly idleMs?: number | undefined
}

const maxCharacters = 4 * 1024 * 1024

/** Batches in order, from lines that come in groups. */
export async function* batches<L extends Line>(
  groups: AsyncIterable<readonly L[]> | Iterable<readonly L[]>,
  { lines, idleMs }: BatchLimits,
): AsyncGenerator<L[]> {
  let batch: L[] = []
  let characters = 0
  for await (const group of idleMs === undefined ? groups : withPauses(groups, idleMs)) {
    if (group === pause) {
      if (batch.length > 0) yield batch
      batch = []
      characters = 0
      continue
    }
    for (const line of group) {
      if (batch.length === lines || (batch.length > 0 && characters + line.text.length > maxCharacters)) {
        yield batch
        batch = []
        characters = 0
      }
      batch.push(line)
      characters += line.text.length
    }
  }
  if (batch.length > 0) yield batch
}

/** The next one is made ready while this one is used. Ends early when the signal aborts. */
export async function* ahead<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]()
  // A promise of its own for each step: a race against one that stays would keep every batch.
  let wake: (value: undefined) => void = () => undefined
  const onAbort = () => wake(undefined)
  signal.addEventListener('abort', onAbort)
  const unlessAborted = (next: Promise<IteratorResult<T>>): Promise<IteratorResult<T> | undefined> => {
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<T> | undefined>()
    wake = resolve
    next.then(resolve, reject)
    if (signal.aborted) resolve(undefined)
    return promise
  }
  try {
    let next = iterator.next()
    for (;;) {
      const result = await unlessAborted(next)
      if (result === undefined || result.done === true) return
      next = iterator.next()
      // It is looked at only when its turn comes.
      next.catch(() => undefined)
      yield result.value
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    // Not waited for: standard input may never say anything again.
    iterator.return?.()?.catch(() => undefined)
  }
}

const pause: readonly never[] = []

async function* withPauses<L>(
  groups: AsyncIterable<readonly L[]> | Iterable<readonly L[]>,
  idleMs: number,
): AsyncGenerator<readonly L[]> {
  const iterator = (async function* () {
    yield* groups
  })()
  let next = iterator.next()
  for (;;) {
    const idle = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => idle.resolve(undefined), idleMs)
    const result = await Promise.race([next, idle.promise])
    clearTimeout(timer)
    if (result === undefined) {
      yield pause
      yield (await next.then(({ value, done }) => (done === true ? pause : value))) ?? pause
      next = iterator.next()
      continue
    }
    if (result.done === true) return
    next = iterator.next()
    yield result.value
  }
}
