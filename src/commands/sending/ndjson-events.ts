import { contentId, digest, seededId } from './content-id.ts'
import type { EventLine } from './event-line.ts'
import { lineHas, lineKeys } from './line-keys.ts'
import { withNullsFilled } from './null-members.ts'
import { Occurrences } from './occurrences.ts'
import { rejectedEvent } from './rejects.ts'
import { type TextLine, textLines } from './text-lines.ts'

export interface NdjsonOptions {
  /** Of events that name none. */
  readonly source: string
  readonly secret: string | undefined
  /** Of --new-ids: whatever has no id is a new event, and the same one again only with the same seed. */
  readonly seed: string | undefined
  /**
   * For what has no id and does not say when it happened, where that is a new event each time: standard input may
   * well say the same thing twice and mean two events. Undefined: ids stand for what the line says.
   */
  readonly newId: (() => string) | undefined
  /** The lines are those of a file of rejects, each with its event in it. */
  readonly areRejects: boolean
}

/** The events of NDJSON, as they are, each with an id and a source. */
export async function* ndjsonEvents(
  pieces: AsyncIterable<Buffer>,
  options: NdjsonOptions,
): AsyncGenerator<EventLine[]> {
  const identify = identifier(options)
  for await (const lines of textLines(pieces)) {
    yield lines.map(options.areRejects ? (line) => identify(rejectedEvent(line)) : identify)
  }
}

/**
 * Gives a line what it lacks. It is written behind the rest, or where a null stands, and the line is not put
 * together anew: numbers keep the digits that they were written with. What is no JSON object goes as it is: the
 * server says what is wrong.
 */
const identifier = ({ source, secret, seed, newId }: NdjsonOptions): ((line: TextLine) => EventLine) => {
  const occurrences = new Occurrences()
  const sourceMember = `"source":${JSON.stringify(source)}`

  return (line) => {
    const { text } = line
    const keys = line.refused === undefined ? lineKeys(text) : undefined
    if (keys === undefined) return line
    const hasId = (keys & lineHas.id) !== 0
    const hasSource = (keys & lineHas.source) !== 0
    if (hasId && hasSource) return line
    const id = hasId ? '' : idOf(line, keys)
    const hasNull = (keys & (lineHas.nullId | lineHas.nullSource)) !== 0
    const filled = hasNull ? withNullsFilled(text, { id, source }) : text
    const added: string[] = []
    if ((keys & (lineHas.id | lineHas.nullId)) === 0) added.push(`"id":"${id}"`)
    if ((keys & (lineHas.source | lineHas.nullSource)) === 0) added.push(sourceMember)
    if (added.length === 0) return { ...line, text: filled }
    const comma = (keys & lineHas.anything) === 0 ? '' : ','
    return { ...line, text: `${filled.slice(0, filled.lastIndexOf('}'))}${comma}${added.join()}}` }
  }

  function idOf({ number, text }: TextLine, keys: number): string {
    if (seed !== undefined) return seededId(seed, number, text)
    if (newId !== undefined && (keys & lineHas.time) === 0) return newId()
    const content = digest((keys & lineHas.source) === 0 ? `${source}\n${text}` : text, secret)
    return contentId(content, occurrences.next(content))
  }
}
