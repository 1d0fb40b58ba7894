import { execFileSync, spawn } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { env, stderr } from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import avsc from 'avsc'
import { expect, it } from 'vitest'
import { eventually, until } from '../../processes.ts'
import { configures, finished } from '../../program.ts'
import { ProjectCopy } from '../../project-copy.ts'
import { cuttingProxy } from '../cutting-proxy.ts'
import { kafkaProxy } from '../kafka-proxy.ts'
import { withoutDuplicates } from './duplicates.ts'
import { extent } from './extent.ts'
import { type LogRecord, readLog } from './log-reader.ts'
import { expectInClickhouseOnce, expectProfiles, expectWebinars, projections } from './oracle.ts'
import { OutsidePart } from './outside-part.ts'
import { Role } from './role.ts'
import { seeded } from './seeded.ts'
import { Stores } from './stores.ts'
import { startStormLoad } from './storm-load.ts'

const { EMBUDO_TEST_SEED: chosenSeed = '5' } = env
const seed = Number(chosenSeed)

/** How often each is done, in an order that follows from the seed. */
const faults = {
  'worker killed': extent({ full: 24, short: 2 }),
  'worker stood still': extent({ full: 12, short: 1 }),
  'postgres killed': extent({ full: 6, short: 1 }),
  'postgres stopped': extent({ full: 6, short: 0 }),
  'clickhouse killed': extent({ full: 10, short: 1 }),
  'broker killed': extent({ full: 6, short: 1 }),
  'broker stopped': extent({ full: 4, short: 0 }),
  'postgres cut': extent({ full: 10, short: 1 }),
  'clickhouse cut': extent({ full: 10, short: 1 }),
  'kafka cut': extent({ full: 10, short: 1 }),
  'worker left': extent({ full: 8, short: 1 }),
  'worker came': extent({ full: 8, short: 1 }),
  'rebuild begun': extent({ full: 6, short: 1 }),
}
type Fault = keyof typeof faults

/** Longer than a worker may be silent before others take its partitions. */
const standstillMs = 9_500
/** Small enough that what is said again much later counts again. */
const duplicatesWithin = 400
const leads = 300
const partitions = 6
const poisons = extent({ full: 30, short: 6 })

/** One event of two versions, and a window that a short load leaves behind. */
const changed = (): ProjectCopy => {
  const copy = new ProjectCopy()
  const first = JSON.parse(readFileSync(join(copy.folder, oldSchema), 'utf8')) as { fields: unknown[] }
  const device = { name: 'device', type: ['null', 'string'], default: null, doc: 'What they watched on.' }
  copy.write(
    oldSchema.replace('1.avsc', '2.avsc'),
    JSON.stringify({ ...first, fields: [...first.fields, device] }),
  )
  const topic = readFileSync(join(copy.folder, 'schemas/leads/topic.ts'), 'utf8')
  copy.write(
    'schemas/leads/topic.ts',
    topic.replace('partitions: 6', `partitions: 6, duplicatesWithin: ${duplicatesWithin}`),
  )
  execFileSync(join(copy.folder, 'bin/embudo'), ['schemas', 'generate'], { cwd: copy.folder })
  return copy
}
const oldSchema = 'schemas/leads/webinar_attended/1.avsc'

it(
  `every read model and table equals a naive fold of the log after ${Object.values(faults).reduce((sum, n) => sum + n)} faults`,
  async () => {
    const random = seeded(seed)
    const begun = performance.now()
    await using cleanUp = new AsyncDisposableStack()
    const copy = cleanUp.use(changed())
    const [kafka, postgres, clickhouse, registry] = await Promise.all([
      OutsidePart.start('kafka').then((part) => cleanUp.use(part)),
      OutsidePart.start('postgres').then((part) => cleanUp.use(part)),
      OutsidePart.start('clickhouse').then((part) => cleanUp.use(part)),
      OutsidePart.start('registry').then((part) => cleanUp.use(part)),
    ])
    const cuts = {
      kafka: cleanUp.use(await kafkaProxy(kafka.address)),
      postgres: cleanUp.use(await cuttingProxy(postgres.port)),
      clickhouse: cleanUp.use(await cuttingProxy(clickhouse.port)),
    }
    const through = (part: OutsidePart, port: number) => part.address.replace(`:${part.port}`, `:${port}`)
    const settings = {
      KAFKA_BROKERS: cuts.kafka.address,
      SCHEMA_REGISTRY_URL: registry.address,
      DATABASE_URL: through(postgres, cuts.postgres.port),
      CLICKHOUSE_URL: through(clickhouse, cuts.clickhouse.port),
      EMBUDO_LOG_LEVEL: 'warn',
    }
    const front = cleanUp.use(await Role.start('ingest,query', settings, copy.folder))
    const worker = (name: string) => new Role('project', { ...settings, EMBUDO_WORKER_ID: name }, copy.folder)
    const workers = ['one', 'two', 'three'].map((name) => cleanUp.use(worker(name)))
    await Promise.all(workers.slice(0, 2).map((role) => role.start()))

    const oldVersion = await firstVersion(registry.address)
    const load = await startStormLoad({
      ...{ http: () => front.address, kafka: kafka.address, partitions, random, oldVersion, poisons, leads },
    })
    const working = () => workers.filter((role) => role.isRunning)
    const one = <T>(among: readonly T[]): T => among[Math.floor(random() * among.length)]!
    const commit: Readonly<Record<Fault, () => unknown>> = {
      'worker killed': async () => {
        const role = one(working())
        await role.kill()
        await role.start()
      },
      'worker stood still': async () => {
        const role = one(working())
        role.signal('SIGSTOP')
        try {
          await delay(standstillMs)
        } finally {
          role.signal('SIGCONT')
        }
      },
      'postgres killed': () => postgres.restart('SIGKILL'),
      'postgres stopped': () => postgres.restart('SIGINT'),
      'clickhouse killed': () => clickhouse.restart('SIGKILL'),
      'broker killed': () => kafka.restart('SIGKILL'),
      'broker stopped': () => kafka.restart('SIGTERM'),
      'postgres cut': () => cuts.postgres.cut(),
      'clickhouse cut': () => cuts.clickhouse.cut(),
      'kafka cut': () => cuts.kafka.cut(),
      'worker left': async () => {
        if (working().length > 1) await one(working()).stop()
      },
      'worker came': async () => {
        await workers.find((role) => !role.isRunning)?.start()
      },
      'rebuild begun': async () => {
        const model = one(['lead_profile', 'webinar_stats'])
        // 409 where one is under way.
        await fetch(`${front.address}/api/projections/${model}/rebuild`, { method: 'POST' })
      },
    }
    const plan = shuffled(random)
    for (const fault of plan) {
      stderr.write(`${((performance.now() - begun) / 1_000).toFixed(0)} s: ${fault}\n`)
      await load.untilFurther(100 + Math.floor(random() * 400))
      await commit[fault]()
    }
    await load.untilFurther(100)
    await load.stop()

    const run = {
      http: front.address,
      kafka: kafka.address,
      registry: registry.address,
      postgres: postgres.address,
      clickhouse: clickhouse.address,
    }
    await using stores = new Stores(run)
    await untilCaughtUp(run.http, () => workers.map((role) => role.said).join('\n'))
    const log = await readLog(run, undefined, { mayHoldPoison: true })
    const counting = withoutDuplicates(log, duplicatesWithin)
    const readable = counting.filter(({ isPoison }) => !isPoison)
    const inOrder = behindNoPoison(counting)
    const said = Object.entries(load.done).map(([kind, times]) => `${times} ${kind}`)
    stderr.write(
      `storm, seed ${seed}: ${plan.length} faults (${plan.join(', ')}) under ${log.length} records (${log.length - counting.length} duplicates, ${counting.length - readable.length} poisoned, ${readable.length - inOrder.length} behind them; turns: ${said.join(', ')}) in ${((performance.now() - begun) / 1_000).toFixed(0)} s\n`,
    )

    expect(workers.filter((role) => role.hasDied).map((role) => role.said)).toEqual([])
    const inLog = new Set(log.map(({ id }) => id))
    expect(load.accepted.filter((id) => !inLog.has(id))).toEqual([])
    expect(log.length).toBeGreaterThan(counting.length)
    // Each model has its oracle: whoever adds one adds it here.
    const models = globSync('*/projection.ts', { cwd: join(copy.folder, 'projections') })
    expect(models.map((file) => file.split('/')[0]).toSorted()).toEqual([
      'events',
      'lead_profile',
      'webinar_stats',
    ])
    await expectProfiles(inOrder, stores)
    await expectWebinars(readable, stores)
    await expectInClickhouseOnce(readable, stores)
    await expectAggregates(readable, stores)
    await expectCounted(log, counting, stores)
    await expectReconciled(copy.folder, { ...settings, EMBUDO_PORT: new URL(run.http).port })
  },
  extent({ full: 3_600_000, short: 1_800_000 }),
)

const shuffled = (random: () => number): Fault[] =>
  Object.entries(faults)
    .flatMap(([fault, times]) => Array<Fault>(times).fill(fault as Fault))
    .map((fault) => ({ fault, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ fault }) => fault)

/** What an old producer sends, by the schema that the registry has as the first. */
const firstVersion = async (registry: string) => {
  const subject = 'embudo.leads-embudo.leads.webinar_attended'
  const response = await fetch(`${registry}/subjects/${subject}/versions/1`)
  const { id, schema } = (await response.json()) as { id: number; schema: string }
  const type = avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema)
  return (n: number) => {
    const key = `L-${n % leads}`
    const attended = {
      leadId: key,
      webinarId: `W-${n % 7}`,
      attendanceDuration: n % 3_600,
      engagementScore: null,
    }
    const frame = Buffer.alloc(5)
    frame.writeInt32BE(id, 1)
    return { key, type: 'webinar_attended', value: Buffer.concat([frame, type.toBuffer(attended)]) }
  }
}

/** What is no event is parked, and in a read model all that comes later of its key waits behind it. */
const behindNoPoison = (records: readonly LogRecord[]): LogRecord[] => {
  const poisoned = new Set<string>()
  return records.filter(({ topic, key, isPoison }) => {
    if (isPoison) poisoned.add(`${topic} ${key}`)
    return !poisoned.has(`${topic} ${key}`)
  })
}

const untilCaughtUp = async (http: string, said: () => string): Promise<void> => {
  let last: unknown
  const isQuiet = async (): Promise<boolean> => {
    const items = await projections({ http })
    if (items === undefined) return false
    last = items
    const failed = items.flatMap(({ positions }) => positions).filter(({ state }) => state === 'failed')
    if (failed.length > 0) throw new Error(`stopped: ${JSON.stringify(failed)}`)
    return items.every(({ lag, rebuild }) => lag === 0 && (rebuild ?? null) === null)
  }
  await until('every projection has caught up', isQuiet, 300_000).catch((error: unknown) => {
    throw new Error(`${error}\n${JSON.stringify(last)}\n${said().slice(-6_000)}`)
  })
}

/** What ClickHouse adds up is what comes of adding up the log. */
const expectAggregates = async (records: readonly LogRecord[], stores: Stores): Promise<void> => {
  const found = await stores.clickhouse(
    'SELECT _type AS type, toString(count()) AS events, toString(uniqExact(_subject)) AS subjects FROM events GROUP BY type ORDER BY type',
  )
  const byType = [...Map.groupBy(records, ({ type }) => type)].toSorted(([a], [b]) => (a < b ? -1 : 1))
  expect(found).toEqual(
    byType.map(([type, some]) => ({
      type,
      events: String(some.length),
      subjects: String(new Set(some.map(({ key }) => key)).size),
    })),
  )
  const [seconds] = await stores.clickhouse(
    'SELECT toString(sum(attendanceDuration)) AS attended FROM webinar_attended',
  )
  const attended = records.filter(({ type }) => type === 'webinar_attended')
  const sum = attended.reduce((seconds, { data }) => seconds + Number(data.attendanceDuration), 0)
  expect(seconds).toEqual({ attended: String(sum) })
}

/** Every reader has come to the log's end, and says of each record what has become of it. */
const expectCounted = async (
  log: readonly LogRecord[],
  counting: readonly LogRecord[],
  stores: Stores,
): Promise<void> => {
  const rows = await stores.postgres<Record<string, unknown>>(
    `select reader, topic, partition, next_offset::integer as read, duplicates::integer as duplicates,
       (next_offset - origin - applied - ignored - duplicates - dead_lettered - markers)::integer as missing
     from embudo.positions p where topic = 'embudo.leads' and not exists (
       select from embudo.generations g where g.projection = p.reader and g.generation = p.generation and g.state <> 'live')
     order by reader, partition`,
  )
  const sizes = (records: readonly LogRecord[]) =>
    new Map(
      [
        ...Map.groupBy(
          records.filter(({ topic }) => topic === 'embudo.leads'),
          ({ partition }) => partition,
        ),
      ].map(([partition, some]) => [partition, some.length] as const),
    )
  const [all, distinct] = [sizes(log), sizes(counting)]
  const expected = ['events', 'lead_profile', 'webinar_stats'].flatMap((reader) =>
    Array.from({ length: partitions }, (_, partition) => {
      const read = all.get(partition) ?? 0
      return {
        ...{ reader, topic: 'embudo.leads', partition, read, missing: 0 },
        duplicates: read - (distinct.get(partition) ?? 0),
      }
    }),
  )
  expect(rows.map((row) => ({ ...row }))).toEqual(expected)
}

/** As the program itself says it, on the command line. */
const expectReconciled = async (
  folder: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> => {
  const inherited = Object.entries(env).filter(([name]) => !configures.test(name))
  const ask = () =>
    spawn(join(folder, 'bin/embudo'), ['reconcile', '--json'], {
      env: { ...Object.fromEntries(inherited), ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  // Where rows were not counted, or nobody answered, it says itself that it is to be asked again.
  const { status, stdout, stderr } = await eventually(
    () => finished(ask()),
    ({ stderr }) => !stderr.includes('"retriable":true'),
  )
  const { addsUp, items } = JSON.parse(stdout) as {
    addsUp: boolean
    items: readonly { readonly mismatches: readonly unknown[] }[]
  }
  expect(items.filter(({ mismatches }) => mismatches.length > 0)).toEqual([])
  expect(addsUp).toBe(true)
  expect(`${status} ${stderr}`).toMatch(/^0 /)
}
