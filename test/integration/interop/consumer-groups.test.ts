import { execFileSync, spawn } from 'node:child_process'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clickhouseClient } from '../../clickhouse-client.ts'
import { eventually } from '../../processes.ts'
import { finished, Program } from '../../program.ts'

const webinars = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    id: `e-${from + index}`,
    source: 'test',
    type: 'webinar_attended',
    data: { leadId: `L-${(from + index) % 23}`, webinarId: 'W-1', attendanceDuration: 60 },
  }))

let program: Program
let jars = ''
beforeAll(async () => {
  program = await Program.start({ EMBUDO_RECONCILE_EVERY_MS: '250' })
  const pid = program.run.pids.kafka?.at(-1) ?? 0
  const words = execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).split(
    /\s+/,
  )
  jars = words[words.indexOf('-cp') + 1] ?? ''
})
afterAll(() => program[Symbol.asyncDispose]())

const send = async (events: object[]): Promise<void> => {
  const response = await fetch(`${program.run.http}/api/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(events),
  })
  expect(response.status).toBe(202)
  await response.body?.cancel()
}

const get = async <T>(path: string): Promise<T> =>
  (await (await fetch(`${program.run.http}${path}`)).json()) as T

interface Reconciled {
  readonly addsUp: boolean
  /** Absent where it cannot be told now. */
  readonly items?: readonly { readonly projection: string; readonly read: number; readonly pending: number }[]
}
const reconciled = () => get<Reconciled>('/api/reconciliation?topic=leads')
const isRead = ({ items }: Reconciled) => items?.every(({ pending }) => pending === 0) ?? false

/** What Kafka's own tool tells of a group: offset, end and lag, summed over the partitions of leads. */
const described = async (group: string) => {
  const tool = 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand'
  const server = ['--bootstrap-server', program.run.kafka, '--timeout', '120000']
  const args = [...server, '--describe', '--group', group]
  const { stdout } = await finished(spawn('java', ['-Xmx256m', '-cp', jars, tool, ...args]))
  const lines = stdout.split('\n').map((line) => line.trim().split(/\s+/))
  const leads = lines.filter(([of, topic]) => of === group && topic === 'embudo.leads')
  const sum = (column: number) => leads.reduce((total, words) => total + Number(words[column]), 0)
  return { partitions: leads.length, offset: sum(3), end: sum(4), lag: sum(5) }
}

describe("Kafka's own tools", () => {
  it('see where every reader stands, and how far behind it is while its process hangs', async () => {
    await send([...webinars(0, 100), ...webinars(0, 20)])
    await eventually(reconciled, isRead)
    const seen = await eventually(
      () => described('embudo.lead_profile'),
      ({ offset }) => offset === 120,
    )
    expect(seen).toMatchObject({ end: 120, lag: 0 })
    await eventually(
      () => described('embudo.events'),
      ({ offset, lag }) => offset === 120 && lag === 0,
    )

    await program.signal('worker', 'SIGSTOP')
    try {
      await send(webinars(100, 30))
      await eventually(
        () => described('embudo.lead_profile'),
        ({ offset, end, lag }) => offset === 120 && end === 150 && lag === 30,
      )
      const list = () =>
        get<{ items?: { name: string; state: string; oldestUnappliedSeconds: number }[] }>('/api/projections')
      await eventually(
        list,
        ({ items }) =>
          items?.every(({ state, oldestUnappliedSeconds: age }) => state === 'stalled' && age >= 10) ?? false,
      )
    } finally {
      await program.signal('worker', 'SIGCONT')
    }
    await eventually(reconciled, isRead)
    await eventually(
      () => described('embudo.lead_profile'),
      ({ lag }) => lag === 0,
    )
  })
})

describe('npx embudo reconcile', () => {
  /** Asked until it knows: a store that answers late is neither. */
  const reconcile = () =>
    eventually(
      () => finished(program.command('reconcile', '--partitions')),
      ({ status, stdout }) => status === 0 || stdout.includes('does not add up'),
    )

  it('ends well while everything adds up', async () => {
    await eventually(reconciled, isRead)
    const ran = await reconcile()
    expect(ran).toMatchObject({ status: 0, stdout: expect.stringContaining('everything adds up') })
    for (const reader of ['lead_profile', 'webinar_stats', 'events']) expect(ran.stdout).toContain(reader)
    const { items } = await eventually(
      () => get<Reconciled>('/api/reconciliation'),
      (answer) => answer.items !== undefined,
    )
    expect(items!.map(({ projection }) => projection)).toContain('saga:enrollment')
    expect((await fetch(`${program.run.http}/api/reconciliation?topic=nope`)).status).toBe(404)
  })

  it('finds a row that ClickHouse has lost', async () => {
    const clickhouse = clickhouseClient({ url: program.run.clickhouse })
    try {
      await clickhouse.command({
        query: 'ALTER TABLE webinar_attended_g1 DELETE WHERE _event_id = {id:String}',
        query_params: { id: 'e-7' },
        clickhouse_settings: { mutations_sync: '2' },
      })
    } finally {
      await clickhouse.close()
    }
    const ran = await reconcile()
    expect(ran.status).toBe(1)
    expect(ran.stdout).toMatch(/does not add up {2}events \(generation 1\) in embudo.leads:\d+: .*ClickHouse/)
  })

  it('finds a count that was changed, as do /health and the metrics', async () => {
    const client = new Client({ connectionString: program.run.postgres })
    await client.connect()
    try {
      await client.query(
        `update embudo.positions set applied = applied - 1
         where reader = 'lead_profile' and applied = (select max(applied) from embudo.positions where reader = 'lead_profile')`,
      )
    } finally {
      await client.end()
    }
    await eventually(
      () => get<{ status: string; parts: Record<string, { detail?: string }> }>('/health'),
      ({ status, parts }) =>
        status === 'degraded' && parts.completeness?.detail?.includes('lead_profile') === true,
    )
    const ran = await reconcile()
    expect(ran.status).toBe(1)
    expect(ran.stdout).toMatch(/lead_profile +embudo.leads:\d+ .*does not\n/)
  })
})
