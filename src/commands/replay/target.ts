import type { WholeRecord } from '../../log/port.ts'

/** Where a replay goes. */
export interface Target {
  /** Records of one partition, in order; resolves once they are where they go. */
  take(records: readonly WholeRecord[], partition: number): Promise<void>
  /** Once all were taken: what else there is to tell. Throws where something is missing. */
  end(): Promise<Readonly<Record<string, unknown>>>
}
