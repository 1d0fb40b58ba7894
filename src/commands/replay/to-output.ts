import { once } from 'node:events'
import { EmbudoError, isRetriable, messageOf } from '../../define/error.ts'
import type { Codec } from '../../log/codec.ts'
import type { LogRecord } from '../../log/port.ts'
import type { CommandContext } from '../context.ts'
import { cloudEventOf } from './cloud-event.ts'
import type { Target } from './target.ts'

/** A line a record; no faster than it is read. What is no event of the catalogue is told and left out. */
export const toOutput = (topic: string, codec: Codec, { stdout, stderr, signal }: CommandContext): Target => {
  let unreadable = 0

  const lineOf = async (record: LogRecord, partition: number): Promise<string> => {
    try {
      if (record.value === null) throw new EmbudoError('record_empty', 'it has no value')
      if (codec.writerOf(record.value) === undefined) await codec.learn(record.value)
      return `${JSON.stringify(cloudEventOf(codec, record, topic, partition))}\n`
    } catch (error) {
      if (isRetriable(error)) throw error
      unreadable++
      const place = `${topic}:${partition}:${record.offset}`
      if (unreadable <= maxTold) stderr.write(`left out ${place}: ${messageOf(error)}\n`)
      return ''
    }
  }

  return {
    async take(records, partition) {
      let text = ''
      for (const [index, record] of records.entries()) {
        text += await lineOf(record, partition)
        if (text.length < writeCharacters && index < records.length - 1) continue
        if (text !== '' && !stdout.write(text)) await once(stdout, 'drain', { signal })
        text = ''
      }
    },
    async end() {
      if (unreadable > 0) {
        throw new EmbudoError(
          'replay_incomplete',
          `${unreadable} records are no events of the catalogue and were left out`,
        )
      }
      return {}
    },
  }
}

const maxTold = 20
const writeCharacters = 64 * 1024
