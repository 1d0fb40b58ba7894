import type { PreparedEvent } from '../log/event-appender.ts'

/** How sagas and their effects write to the log. At least once; whoever retries sends the same ids. */
export interface Appender {
  /** Throws where the log could never take it, so that a step fails before its event stands in the outbox. */
  check(event: Pick<PreparedEvent, 'type' | 'data'>): void
  /** In order, all of them, or it throws; then any of them may be there. */
  append(events: readonly PreparedEvent[]): Promise<void>
}
