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
})
