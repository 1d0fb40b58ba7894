import type { Line } from './delivery.ts'

/** A batch answers for each of its lines: the server lists up to 1,000 errors. */
const maxLines = 1_000
const maxCharacters = 4 * 1024 * 1024

/** Batches of at most `lines` lines, in order. */
export async function* batches<L extends Line>(
  source: AsyncIterable<L> | Iterable<L>,
  lines: number = maxLines,
): AsyncGenerator<L[]> {
  let batch: L[] = []
  let characters = 0
  for await (const line of source) {
    if (batch.length > 0 && characters + line.text.length > maxCharacters) {
      yield batch
      batch = []
      characters = 0
    }
    batch.push(line)
    characters += line.text.length
    if (batch.length === lines) {
      yield batch
      batch = []
      characters = 0
    }
  }
  if (batch.length > 0) yield batch
}
