import type { Appended } from '../log/port.ts'

/** The last place written in each partition: the value of the header Embudo-Position. */
export class Places {
  readonly #last = new Map<string, Map<number, number>>()

  add({ topic, partition, offset }: Appended): void {
    let partitions = this.#last.get(topic)
    if (partitions === undefined) {
      partitions = new Map()
      this.#last.set(topic, partitions)
    }
    const last = partitions.get(partition)
    if (last === undefined || offset > last) partitions.set(partition, offset)
  }

  /** Undefined where nothing was written. */
  toHeader(): string | undefined {
    if (this.#last.size === 0) return undefined
    return [...this.#last]
      .flatMap(([topic, partitions]) =>
        [...partitions].map(([partition, offset]) => `${topic}:${partition}:${offset}`),
      )
      .join(', ')
  }
}
