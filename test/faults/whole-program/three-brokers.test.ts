import { stderr } from 'node:process'
import { it } from 'vitest'
import { Cluster, type NodeId } from '../../cluster.ts'
import { eventually, until } from '../../processes.ts'
import { extent } from './extent.ts'
import { Ledger } from './ledger.ts'
import { expectExactlyOnce } from './oracle.ts'
import { OutsidePart } from './outside-part.ts'
import { Role } from './role.ts'
import { seeded } from './seeded.ts'
import { keysOf, startSenders } from './senders.ts'
import { Stores } from './stores.ts'

const shapes = {
  single: { senders: 4, keys: 5, rounds: 1 },
  array: { senders: 1, keys: 20, rounds: 1 },
  lines: { senders: 1, keys: 10, rounds: 3 },
}
const seed = 17
/** Each is killed and comes back, one after the other. */
const losses = extent({ full: 12, short: 2 })

it(
  `three brokers lose one ${losses} times under load: nothing acknowledged is lost, each counts once, projections go on`,
  async () => {
    const random = seeded(seed)
    await using cleanUp = new AsyncDisposableStack()
    const [cluster, postgres, clickhouse, registry] = await Promise.all([
      Cluster.start().then((cluster) => cleanUp.use(cluster)),
      OutsidePart.start('postgres').then((part) => cleanUp.use(part)),
      OutsidePart.start('clickhouse').then((part) => cleanUp.use(part)),
      OutsidePart.start('registry').then((part) => cleanUp.use(part)),
    ])
    const settings = {
      KAFKA_BROKERS: cluster.addresses,
      SCHEMA_REGISTRY_URL: registry.address,
      DATABASE_URL: postgres.address,
      CLICKHOUSE_URL: clickhouse.address,
      EMBUDO_REPLICATION: '3',
      EMBUDO_LOG_LEVEL: 'warn',
    }
    const front = cleanUp.use(await Role.start('ingest,query', settings))
    cleanUp.use(await Role.start('project,saga', settings))
    const run = {
      http: front.address,
      ...{ kafka: cluster.addresses, registry: registry.address, pids: {} },
      ...{ postgres: postgres.address, clickhouse: clickhouse.address },
    }
    await using stores = new Stores(run)
    const applied = async () =>
      Number(
        (await stores.postgres('select coalesce(sum(events), 0) as events from lead_profile'))[0]?.events,
      )

    /** Undefined where nobody can say now. */
    const leading = () => cluster.leadersOf('embudo.leads').catch(() => undefined)

    const ledger = new Ledger('three-brokers', keysOf(shapes))
    using sending = startSenders({ run, readRunFile: async () => run }, ledger, {
      shapes,
      random,
      repeats: 0.01,
    })
    await sending.untilFurther(200)
    for (let loss = 0; loss < losses; loss++) {
      const leaders = await eventually(leading, (leaders) => leaders !== undefined)
      const [lost = 1] = [...leaders!].toSorted(([, a], [, b]) => b - a)[0] ?? []
      await cluster.kill(lost as NodeId)
      const before = await applied()
      await sending.untilFurther(300)
      await until('projections go on without it', async () => (await applied()) >= before + 200)
      await until('others lead', async () => (await leading())?.has(lost) === false)
      await cluster.start(lost as NodeId)
      await sending.untilFurther(200)
    }
    await sending.stop()

    const counts = ledger.expectIn(await expectExactlyOnce(run))
    const said = Object.entries(counts).map(([name, count]) => `${name} ${count}`)
    stderr.write(`three brokers, seed ${seed}, one lost ${losses} times: ${said.join(', ')}\n`)
  },
  extent({ full: 3_600_000, short: 1_200_000 }),
)
