import { execFileSync, spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { finished, Program } from '../../program.ts'

const envelope = { source: 'https://crm.example/hooks', time: '2026-11-20T10:00:00.000Z' }
const sent = [
  {
    id: 'e-1',
    ...envelope,
    type: 'lead_registered',
    data: {
      leadId: 'L-1',
      email: 'ada@example.com',
      firstName: 'Ada',
      lastName: 'Lovelace',
      company: 'Größe ✓',
    },
  },
  {
    id: 'e-2',
    ...envelope,
    type: 'webinar_attended',
    data: { leadId: 'L-1', webinarId: 'W-9', attendanceDuration: 2_710, engagementScore: 0.83 },
  },
  {
    id: 'e-3',
    ...envelope,
    type: 'webinar_attended',
    data: { leadId: 'L-2', webinarId: 'W-9', attendanceDuration: 0 },
  },
  {
    id: 'e-4',
    ...envelope,
    type: 'conversion_completed',
    data: { leadId: 'L-2', conversionType: 'course', value: '1049.9', currency: 'EUR' },
  },
]

/** What the schemas make of what was left out, and of money: four decimals. */
const decoded: Record<string, object> = {
  'e-1': { source: null },
  'e-3': { engagementScore: null },
  'e-4': { value: '1049.9000' },
}

interface Read {
  readonly key: string
  readonly schema: string
  readonly headers: Record<string, string>
  readonly data: Record<string, unknown>
}

let program: Program
let kafkaJars = ''
let avroJar = ''
beforeAll(async () => {
  program = await Program.start()
  const { kafka, registry } = program.run.pids
  // The jars that the broker itself runs on, and Avro as the registry carries it.
  kafkaJars = argumentAfter('-cp', kafka?.at(-1) ?? 0)
  const runner = argumentAfter('-jar', registry?.at(-1) ?? 0)
  avroJar = globSync('**/*org.apache.avro.avro-*.jar', { cwd: dirname(runner) })
    .map((found) => join(dirname(runner), found))
    .join(':')
  const response = await fetch(`${program.run.http}/api/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(sent),
  })
  expect(response.status).toBe(202)
})
afterAll(() => program[Symbol.asyncDispose]())

const argumentAfter = (flag: string, pid: number): string => {
  const words = execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).split(
    /\s+/,
  )
  return words[words.indexOf(flag) + 1] ?? ''
}

/** Where no locale is set, Java would read and print ASCII. */
const utf8 = ['-Dfile.encoding=UTF-8', '-Dsun.stdout.encoding=UTF-8', '-Dstdout.encoding=UTF-8']

const java = async (...args: string[]): Promise<string> => {
  const { status, stdout, stderr } = await finished(
    spawn('java', [...utf8, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }),
  )
  if (status !== 0) throw new Error(`java ended with ${status}: ${stderr}`)
  return stdout
}

const hasCompiler = execFileSync('java', ['--list-modules'], { encoding: 'utf8' }).includes('jdk.compiler')

describe('a consumer that is not ours', () => {
  it("decodes every record with Kafka's own client and Avro's own library", async ({ skip }) => {
    if (!hasCompiler) skip('this Java has no compiler (a JRE): ReadTopic.java needs a JDK')
    const { kafka, registry } = program.run
    const source = join(import.meta.dirname, 'ReadTopic.java')
    const output = await java('-cp', `${kafkaJars}:${avroJar}`, source, kafka, registry, 'embudo.leads')
    const read = output
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Read)

    const byId = read.toSorted((a, b) => (a.headers.ce_id ?? '').localeCompare(b.headers.ce_id ?? ''))
    expect(byId).toEqual(
      sent.map(({ id, source, type, time, data }) => ({
        partition: expect.any(Number),
        offset: expect.any(Number),
        key: data.leadId,
        schema: `embudo.leads.${type}`,
        headers: {
          ce_specversion: '1.0',
          ce_id: id,
          ce_source: source,
          ce_type: type,
          ce_time: time,
          ce_dataschema: expect.stringContaining(type),
          'content-type': 'application/avro',
        },
        data: { ...data, ...decoded[id] },
      })),
    )
  })

  it("Kafka's console consumer shows keys and CloudEvents headers", async () => {
    const topic = ['--topic', 'embudo.leads', '--from-beginning', '--max-messages', String(sent.length)]
    const shown = ['print.headers=true', 'print.key=true', 'print.value=false'].flatMap((it) => [
      '--property',
      it,
    ])
    const consumer = 'org.apache.kafka.tools.consumer.ConsoleConsumer'
    const output = await java(
      '-cp',
      kafkaJars,
      consumer,
      '--bootstrap-server',
      program.run.kafka,
      ...topic,
      ...shown,
    )
    for (const { id, type, data } of sent) {
      const line = output.split('\n').find((candidate) => candidate.includes(`ce_id:${id},`))
      expect(line).toContain(`ce_type:${type}`)
      expect(line).toContain('content-type:application/avro')
      expect(line?.trimEnd().endsWith(`\t${data.leadId}`)).toBe(true)
    }
  })

  it('the registry lists a subject for every event, compatible over all versions', async () => {
    const { registry } = program.run
    const subjects = (await (await fetch(`${registry}/subjects`)).json()) as string[]
    expect(subjects).toContain('embudo.leads-embudo.leads.webinar_attended')
    const config = await fetch(`${registry}/config/embudo.leads-embudo.leads.webinar_attended`)
    expect(await config.json()).toMatchObject({ compatibilityLevel: 'FULL_TRANSITIVE' })
  })
})
