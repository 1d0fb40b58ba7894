import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stderr } from 'node:process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EmbeddedParts, startEmbedded } from '../../../src/embedded/start.ts'
import { until, untilGone } from '../../processes.ts'
import { Program } from '../../program.ts'
import { type KafkaProxy, kafkaProxy, PRODUCE } from '../kafka-proxy.ts'
import { extent } from './extent.ts'
import { type Counts, Ledger } from './ledger.ts'
import { expectExactlyOnce } from './oracle.ts'
import { OutsidePart } from './outside-part.ts'
import { seeded } from './seeded.ts'
import { keysOf, startSenders } from './senders.ts'

const seed = 11

/** How often each is done. The program is killed by all but those of the broker alone. */
const faults = {
  http: extent({ full: 14, short: 3 }),
  'one of http': extent({ full: 6, short: 0 }),
  worker: extent({ full: 14, short: 2 }),
  supervisor: extent({ full: 8, short: 1 }),
  everything: extent({ full: 6, short: 1 }),
  'http and worker': extent({ full: 3, short: 1 }),
  'broker killed': extent({ full: 3, short: 1 }),
  'broker stopped': extent({ full: 2, short: 0 }),
  'broker killed and http': extent({ full: 2, short: 0 }),
}
type Fault = keyof typeof faults
const isOfBrokerAlone = (fault: Fault) => fault === 'broker killed' || fault === 'broker stopped'

const shapes = {
  single: { senders: 24, keys: 5, rounds: 1 },
  array: { senders: 2, keys: 20, rounds: 1 },
  lines: { senders: 2, keys: 10, rounds: 3 },
}
const httpProcesses = extent({ full: 2, short: 1 })
const lostReplies = extent({ full: 10, short: 2 })

let broker: OutsidePart
let stores: EmbeddedParts
let dataDir: string
/** Outside of the program, so that what was killed is all that is waited for. */
const addresses = () => ({
  KAFKA_BROKERS: broker.address,
  SCHEMA_REGISTRY_URL: stores.addresses.registryUrl ?? '',
  DATABASE_URL: stores.addresses.databaseUrl ?? '',
  CLICKHOUSE_URL: stores.addresses.clickhouseUrl ?? '',
})
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'embudo-ledger-'))
  const startStores = startEmbedded({ dataDir, parts: new Set(['registry', 'postgres', 'clickhouse']) })
  ;[broker, stores] = await Promise.all([OutsidePart.start('kafka'), startStores])
})
afterAll(async () => {
  await Promise.all([broker[Symbol.asyncDispose](), stores[Symbol.asyncDispose]()])
  await rm(dataDir, { recursive: true, force: true })
})

it('each acknowledged event stands where the answer said, in order, and counts once, whatever is killed', async () => {
  const random = seeded(seed)
  await using proxy = await kafkaProxy(broker.address)
  const settings = { KAFKA_BROKERS: proxy.address, EMBUDO_INGEST_PROCESSES: String(httpProcesses) }
  await using program = await Program.start({ ...addresses(), ...settings })
  const ledger = new Ledger('crash-ledger', keysOf(shapes))
  using sending = startSenders(program, ledger, { shapes, random, repeats: 0.02 })
  const plan = shuffled(random)
  for (const fault of plan) {
    await sending.untilFurther(200 + Math.floor(random() * 800))
    // What the broker has and nobody was told of is sent again.
    if (fault === 'http') await swallowOne(proxy)
    await commit(fault, program)
  }
  await sending.stop()

  const log = await expectExactlyOnce(program.run)
  const counts = ledger.expectIn(log)
  const kills = plan.filter((fault) => !isOfBrokerAlone(fault)).length
  tell(`${kills} kills of the program, ${plan.length - kills} of the broker alone`, counts)
  expect(counts.duplicates).toBeGreaterThan(counts.duplicatesByFaults)
  expect(counts.duplicatesByFaults).toBeGreaterThan(0)
}, 1_800_000)

it('an event whose acknowledgement by the broker was lost is sent again and counts once', async () => {
  const random = seeded(seed + 1)
  await using proxy = await kafkaProxy(broker.address)
  // So that callers are told of an unknown outcome before the program's own retry can find it out.
  const settings = { KAFKA_BROKERS: proxy.address, EMBUDO_APPEND_TIMEOUT_MS: '3000' }
  await using program = await Program.start({ ...addresses(), ...settings })
  const ledger = new Ledger('lost-replies', keysOf(shapes))
  using sending = startSenders(program, ledger, { shapes, random, repeats: 0 })
  const refused = () => ledger.answers(503) + ledger.answers(207)
  for (let lost = 0; lost < lostReplies; lost++) {
    await sending.untilFurther(100 + Math.floor(random() * 400))
    const before = refused()
    // The worker appends as well: of its answers no caller is told.
    while (refused() === before) {
      await swallowOne(proxy)
      const tried = performance.now()
      await until('callers are told', () => refused() > before || performance.now() > tried + 8_000)
    }
  }
  await sending.stop()

  const counts = ledger.expectIn(await expectExactlyOnce(program.run))
  tell(`${lostReplies} replies of the broker lost`, counts)
  expect(counts.duplicatesByFaults).toBeGreaterThanOrEqual(lostReplies)
}, 600_000)

/** The broker has done the next append, and its answer never comes. */
const swallowOne = async (proxy: KafkaProxy): Promise<void> => {
  const before = proxy.swallowed
  const isDue = (apiKey: number) => apiKey === PRODUCE && proxy.swallowed === before
  proxy.judge = (apiKey) => (isDue(apiKey) ? 'swallow the answer' : 'pass')
  await until('the answer to an append is lost', () => proxy.swallowed > before)
}

const commit = async (fault: Fault, program: Program): Promise<void> => {
  switch (fault) {
    case 'http':
    case 'worker':
      return await program.killRole(fault)
    case 'one of http': {
      const [one] = (await program.readRunFile())?.pids.http ?? []
      if (one === undefined) throw new Error('no http process is known')
      process.kill(one, 'SIGKILL')
      const isOther = async () => !(await program.readRunFile())?.pids.http?.includes(one)
      return await until('another process has taken its place', isOther)
    }
    case 'http and worker':
      await Promise.all([program.killRole('http'), program.killRole('worker')])
      return
    case 'supervisor': {
      // Its children end by themselves; the next one does not wait for them.
      const processes = await program.processes()
      await program.signal('up', 'SIGKILL')
      await untilGone(processes.filter(({ pid }) => program.run.pids.up?.includes(pid)))
      await program.start()
      return
    }
    case 'everything':
      await program.kill()
      await program.start()
      return
    case 'broker killed':
      return await broker.restart('SIGKILL')
    case 'broker stopped':
      return await broker.restart('SIGTERM')
    case 'broker killed and http':
      await Promise.all([broker.restart('SIGKILL'), program.killRole('http')])
      return
    default:
      throw new Error(fault satisfies never)
  }
}

const shuffled = (random: () => number): Fault[] =>
  Object.entries(faults)
    .flatMap(([fault, times]) => Array<Fault>(times).fill(fault as Fault))
    .map((fault) => ({ fault, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ fault }) => fault)

const tell = (what: string, counts: Counts): void => {
  const said = Object.entries(counts).map(([name, count]) => `${name} ${count}`)
  stderr.write(`${what}: ${said.join(', ')}\n`)
}
