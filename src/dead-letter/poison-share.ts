import type { PartitionOf } from '../consumer/positions.ts'
import { EmbudoError, messageOf } from '../define/error.ts'

/** Fewer are no sign that it is the code, or the topic, that is wrong. */
const enough = 100
const among = 1_000

/**
 * How much of what was last read in a partition is poisoned. A mistake in the code poisons everything: to park it
 * all would make a heap of letters out of a stop that a deploy mends.
 */
export class PoisonShare {
  /** Which records were poisoned, oldest first. */
  #poisoned: number[] = []

  /** The `number`th record that was read is poisoned, counted from 1. True where that is too much. */
  poisoned(number: number): boolean {
    this.#poisoned.push(number)
    if (this.#poisoned.length < enough) return false
    if (this.#poisoned[0]! <= number - among)
      this.#poisoned = this.#poisoned.filter((other) => other > number - among)
    return this.#poisoned.length >= enough && this.#poisoned.length * 2 > Math.min(number, among)
  }
}

export const tooManyPoisoned = (
  { reader, generation, topic, partition }: PartitionOf,
  offset: number,
  cause: unknown,
): EmbudoError =>
  new EmbudoError(
    'too_many_poisoned',
    `${reader} cannot apply more than half of the last ${among.toLocaleString('en')} records of ${topic}:${partition}, up to ${offset} (${messageOf(cause)}). The partition stops, and nothing more is parked: mend the code or the topic, then start again`,
    { facts: { reader, generation, topic, partition, offset }, cause },
  )
