import type { EmbudoError } from '../define/error.ts'

/** A producer that makes up a new id for each record must not fill the memory. */
const mostIds = 1_000
/** A schema may be registered after the first record by it came, and be an event's from the next release on. */
const rememberedMs = 60_000

/** What the registry said of ids by which no event can be read, so that it is not asked for every record. */
export class ForeignSchemas {
  readonly #refusals = new Map<number, { readonly error: EmbudoError; readonly atMs: number }>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  note(schemaId: number, error: EmbudoError): void {
    const [oldest] = this.#refusals.keys()
    this.#refusals.delete(schemaId)
    if (this.#refusals.size >= mostIds) this.#refusals.delete(oldest!)
    this.#refusals.set(schemaId, { error, atMs: this.#nowMs() })
  }

  /** The last answer, however old. */
  of(schemaId: number): EmbudoError | undefined {
    return this.#refusals.get(schemaId)?.error
  }

  /** Whether the last answer still holds. */
  has(schemaId: number): boolean {
    const refusal = this.#refusals.get(schemaId)
    return refusal !== undefined && this.#nowMs() - refusal.atMs < rememberedMs
  }
}
