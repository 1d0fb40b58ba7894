import { execFile } from 'node:child_process'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fetchArtifacts } from '../../src/embedded/artifacts.ts'
import type { Environment } from '../../src/embedded/java.ts'

/** The figures that Kafka's own performance tools give, on the same broker. */
export interface KafkaTools {
  /** Records a second; `settings` as the Java producer takes them. */
  produce(topic: string, records: number, recordBytes: number, settings?: readonly string[]): Promise<number>
  consume(topic: string, records: number): Promise<number>
}

export const kafkaTools = async (brokers: string, environment: Environment): Promise<KafkaTools> => {
  const cacheDir =
    environment.EMBUDO_CACHE_DIR ?? join(environment.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'embudo')
  const jars = await fetchArtifacts('kafka', { cacheDir, environment, progress: () => {} })
  const run = async (tool: string, args: readonly string[]): Promise<string> => {
    const java = ['-Xmx512m', '-cp', join(jars, '*'), `org.apache.kafka.tools.${tool}`, ...args]
    const { stdout } = await promisify(execFile)('java', java, { maxBuffer: 16 * 1024 * 1024 })
    return stdout
  }
  return {
    async produce(topic, records, recordBytes, settings = []) {
      const amount = [
        '--topic',
        topic,
        '--num-records',
        String(records),
        '--record-size',
        String(recordBytes),
      ]
      const producer = [
        '--throughput',
        '-1',
        '--producer-props',
        `bootstrap.servers=${brokers}`,
        'acks=all',
        ...settings,
      ]
      const told = await run('ProducerPerformance', [...amount, ...producer])
      return number(/records sent, ([\d.]+) records\/sec/g, told)
    },
    async consume(topic, records) {
      const told = await run('ConsumerPerformance', [
        ...['--bootstrap-server', brokers, '--topic', topic, '--messages', String(records), '--hide-header'],
      ])
      // The last column: messages a second, without the time to join the group.
      return Number(told.trim().split('\n').at(-1)?.split(',').at(-1))
    },
  }
}

/** The tool reports on the way too: the last line is the whole. */
const number = (pattern: RegExp, text: string): number => {
  const last = [...text.matchAll(pattern)].at(-1)
  if (last === undefined) throw new Error(`not understood: ${text.slice(-500)}`)
  return Number(last[1])
}
