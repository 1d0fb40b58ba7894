import type { Pool } from 'pg'
import type { FollowedCorrections } from './dead-letter/corrections.ts'
import { letterDecisions } from './dead-letter/decide.ts'
import { encodeEdit, shownData } from './dead-letter/edit.ts'
import { listLetters, showLetter } from './dead-letter/list.ts'
import { type Catalog, sendable } from './define/catalog.ts'
import type { DeadLetterOperations } from './http/dead-letter-routes.ts'
import { uuidV7 } from './ingest/uuid-v7.ts'
import { eventValidator } from './ingest/validate.ts'
import type { Codec } from './log/codec.ts'
import { appendEvents } from './log/event-appender.ts'
import type { Log } from './log/port.ts'
import { passThrough } from './privacy/pass-through.ts'
import { mayDecide } from './projection/decided-rows.ts'
import type { Projection } from './projection/definition.ts'
import { letterRelease } from './projection/letters.ts'

interface LetterParts {
  readonly catalog: Catalog
  readonly codec: Codec
  readonly corrections: FollowedCorrections
  readonly log: Log
  /** Commits synchronously. */
  readonly pool: Pool
  /** Of the topics' names. */
  readonly prefix: string
  readonly projections: readonly Projection[]
}

/** What operators do with dead letters, joined from the parts that see, check, append and apply. */
export const deadLetterOperations = (parts: LetterParts): DeadLetterOperations => {
  const { prefix, codec, log, pool, corrections } = parts
  const newId = uuidV7()
  const catalog = sendable(parts.catalog)
  const validator = eventValidator({ catalog, personal: passThrough, nowMs: Date.now, newId })
  const append = appendEvents(log, codec, parts.catalog, prefix)
  const decisions = letterDecisions({
    ...{ pool, prefix, newId },
    append: ({ type, id, data }) =>
      append([{ type, id, data, source: 'embudo', time: new Date().toISOString() }]),
    learn: (reader, { topic, partition, offset }, correction) =>
      corrections.learn(reader, topic, partition, offset, correction),
    upToDate: () => corrections.upToDate(),
    mayDecide: mayDecide(parts),
    release: letterRelease(parts),
    encode: (letter, edit) =>
      encodeEdit(letter, edit, {
        ...{ codec, catalog, prefix },
        validate: (event) => validator(event, { source: 'embudo', traceparent: undefined }),
      }),
  })
  return {
    list: (query) => listLetters(pool, query),
    show: async (id) => {
      const { key, value, ...letter } = await showLetter(pool, id)
      const data = await shownData({ value }, codec)
      return { ...letter, key: key?.toString() ?? null, value: value?.toString('base64') ?? null, data }
    },
    retry: (id) => decisions.retry(id),
    edit: (id, { reason, ...edit }) => decisions.edit(id, edit, reason),
    discard: (id, reason) => decisions.discard(id, reason),
  }
}
