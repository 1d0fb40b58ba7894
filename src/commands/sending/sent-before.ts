import type { CommandContext } from '../context.ts'
import { count } from '../output.ts'
import { readState } from './sending-state.ts'
import type { Source } from './source-file.ts'

/** As many records of a partition a topic remembers unless it says otherwise (`duplicatesWithin`). */
const recordsRemembered = 100_000

/**
 * Says once of each file that is sent again how far back the log knows an event again. How its events spread over
 * partitions nobody knows here: the least that can matter is as many as one partition remembers.
 */
export const windowWarning = ({ stderr }: Pick<CommandContext, 'stderr'>) => {
  const told = new Set<Source>()
  return (source: Source, events: number): void => {
    if (events <= recordsRemembered || told.has(source)) return
    told.add(source)
    stderr.write(
      `embudo: ${source.name} has more than ${count(recordsRemembered)} events. Of those that were sent before, only ` +
        `what stands within the last ${count(recordsRemembered)} records of its partition is known again; ` +
        'what lies further back is counted a second time\n',
    )
  }
}

/** Of a file, as far as an earlier sending counted them. */
export const eventsCounted = (file: string): number => {
  try {
    return readState(file)?.done ?? 0
  } catch {
    return 0
  }
}
