import { type MemoryLog, memoryLog } from '../../src/log/memory-log.ts'
import { logContract } from './log.contract.ts'

// Each test opens one log, and only then trims or recreates.
let opened: MemoryLog = memoryLog()

logContract('the log in memory', {
  open: async (options) => {
    opened = memoryLog(options)
    return opened
  },
  trim: async (topic, partition, start) => opened.faults.trim(topic, partition, start),
  recreate: async (topic) => opened.faults.recreate(topic),
  groupOffsets: async (group, topic) =>
    new Map(
      [...opened.mirrored(group)]
        .map(([place, offset]) => [place.split(':'), offset] as const)
        .filter(([[of]]) => of === topic)
        .map(([[, partition], offset]) => [Number(partition), offset] as const),
    ),
})
