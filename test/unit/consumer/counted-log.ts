import type { Log, LogReader } from '../../../src/log/port.ts'

/** The same log; what is read of it is counted at the port. */
export const countedLog = <L extends Log>(log: L) => {
  const counts = { reads: 0, open: 0, records: 0 }
  const reader = (): LogReader => {
    const inner = log.reader()
    return {
      async *read(...of) {
        counts.reads++
        counts.open++
        try {
          for await (const batch of inner.read(...of)) {
            counts.records += batch.records.length
            yield batch
          }
        } finally {
          counts.open--
        }
      },
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    }
  }
  const counted: L = new Proxy(log, {
    get(target, name) {
      if (name === 'reader') return reader
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { log: counted, counts }
}
