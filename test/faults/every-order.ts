import pg from 'pg'

/** One of those who write at the same time: real code that is handed a pool. */
export type Writer = (pool: pg.Pool) => Promise<void>

export interface Scenario {
  readonly writers: Readonly<Record<string, Writer>>
  /** Brings the database to where every order begins. */
  readonly reset: () => Promise<void>
  /** Looks after each step; answers what is wrong, if anything is. */
  readonly between?: () => Promise<string | undefined>
  /** Looks once all have ended; answers what is wrong, if anything is. */
  readonly check: () => Promise<string | undefined>
  /** Statements that others cannot notice: they need no place in the order. */
  readonly unnoticed?: RegExp
}

export interface Explored {
  readonly orders: number
  /** Of each order that ended wrong: its steps, and what was wrong. */
  readonly wrong: readonly { readonly steps: readonly string[]; readonly what: string }[]
}

/** For a twin that must fail: statements as they would be without what guards them. */
export type Rewrite = (sql: string) => string

export interface ExploreOptions {
  readonly rewrite?: Rewrite
  /** Ends with the first order that is wrong. */
  readonly untilWrong?: boolean
  /** So many orders drawn at random in place of every one. */
  readonly drawn?: { readonly orders: number; readonly random: () => number } | undefined
}

/**
 * Runs the writers in every order of their statements, each order from `reset` on. A writer's next statement is held
 * until its turn has come; one that waits for a lock is told by a connection that asks Postgres who blocks whom, and
 * others go on meanwhile. What is tried is a tree: each order is a path of choices among those who could go on.
 */
export const everyOrder = async (
  url: string,
  scenario: Scenario,
  { rewrite = (sql) => sql, untilWrong = false, drawn }: ExploreOptions = {},
): Promise<Explored> => {
  const control = new pg.Pool({ connectionString: url, max: 1, application_name: 'control' })
  const names = Object.keys(scenario.writers)
  const connections = await Promise.all(names.map(() => connectOne(url)))
  const wrong: { steps: string[]; what: string }[] = []
  let orders = 0
  try {
    for (let path: readonly Choice[] | undefined = []; path !== undefined; ) {
      await scenario.reset()
      const steps = names.map(
        (name, at) =>
          new Steps(name, connections[at]!, { rewrite, unnoticed: scenario.unnoticed ?? unnoticed }),
      )
      const order = new Order(steps, control, scenario)
      const among = path
      const what = await order.run((at, of) =>
        drawn === undefined ? (among[at]?.taken ?? 0) : Math.floor(drawn.random() * of),
      )
      orders++
      if (what !== undefined) wrong.push({ steps: order.taken, what })
      if ((untilWrong && wrong.length > 0) || orders === drawn?.orders) break
      if (drawn === undefined) path = nextPath(order.choices)
    }
  } finally {
    // One that is stuck holds its connection, and its pool would wait for it.
    const pids = connections.map(({ pid }) => pid)
    await control.query('select pg_terminate_backend(pid) from unnest($1::integer[]) as pid', [pids])
    for (const { pool } of [...connections, { pool: control }]) void pool.end()
  }
  return { orders, wrong }
}

/** Which of how many was taken. */
interface Choice {
  readonly taken: number
  readonly of: number
}

/** The path beside the last choice that has one left. */
const nextPath = (path: readonly Choice[]): readonly Choice[] | undefined => {
  const last = path.findLastIndex(({ taken, of }) => taken + 1 < of)
  if (last < 0) return undefined
  return [...path.slice(0, last), { taken: path[last]!.taken + 1, of: path[last]!.of }]
}

/** One order, from its first statement to where all writers have ended. */
class Order {
  readonly choices: Choice[] = []
  readonly taken: string[] = []
  readonly #steps: readonly Steps[]
  readonly #control: pg.Pool
  readonly #scenario: Scenario
  #last: Steps | undefined

  constructor(steps: readonly Steps[], control: pg.Pool, scenario: Scenario) {
    this.#steps = steps
    this.#control = control
    this.#scenario = scenario
  }

  /** `choose`: which of so many goes on at the n-th choice. */
  async run(choose: (at: number, of: number) => number): Promise<string | undefined> {
    const running = Promise.allSettled(
      this.#steps.map((steps) => steps.run(this.#scenario.writers[steps.name]!)),
    )
    let what: string | undefined
    for (;;) {
      await this.#settle()
      if (this.taken.length > 0) what ??= await this.#scenario.between?.()
      const next = this.#choose(choose)
      if (next === undefined) break
      this.taken.push(`${next.name}: ${next.sql}`)
      this.#last = next
      next.go()
    }
    for (const ended of await running) {
      if (ended.status === 'rejected') what ??= String(ended.reason)
    }
    return what ?? (await this.#scenario.check())
  }

  #choose(choose: (at: number, of: number) => number): Steps | undefined {
    const held = this.#steps.filter(({ state }) => state === 'held')
    // One that asks the same again sees the same until somebody else has done something.
    const useful = held.filter((steps) => steps !== this.#last || !steps.asksAgain)
    const among = useful.length > 0 ? useful : held
    if (among.length === 0) return undefined
    const taken = choose(this.choices.length, among.length)
    this.choices.push({ taken, of: among.length })
    return among[taken]
  }

  /** Until each is held before its next statement, waits for a lock that another has, or has ended. */
  async #settle(): Promise<void> {
    for (let waitedMs = 0; ; ) {
      const begun = performance.now()
      if (await this.#hasSettled()) return
      waitedMs += Math.min(performance.now() - begun, longestRoundMs)
      if (waitedMs > settlePatienceMs)
        throw new Error(`stuck, ${this.#states()}, after ${this.taken.join('\n')}`)
    }
  }

  /** One look, at most a moment later. */
  async #hasSettled(): Promise<boolean> {
    if (this.#steps.some(({ state }) => state === 'thinking')) {
      await this.#change(longestRoundMs)
      return false
    }
    const running = this.#steps.filter(({ state }) => state === 'running')
    if (running.length === 0) return true
    const before = this.#states()
    await this.#change(statementMs)
    if (before !== this.#states()) return false
    const { rows } = await this.#control.query<{ waits: boolean }>(
      'select cardinality(pg_blocking_pids(pid)) > 0 as waits from unnest($1::integer[]) as pid',
      [running.map(({ pid }) => pid)],
    )
    const isSame = before === this.#states()
    return isSame && rows.every(({ waits }) => waits) && this.#steps.some(({ state }) => state === 'held')
  }

  #change(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs)
      for (const steps of this.#steps) {
        steps.changed = () => {
          clearTimeout(timer)
          resolve()
        }
      }
    })
  }

  #states(): string {
    return this.#steps.map(({ state, count }) => `${state} ${count}`).join()
  }
}

/** One writer's statements, each held until `go`. */
class Steps {
  readonly name: string
  readonly pid: number
  readonly #pool: pg.Pool
  readonly #options: { readonly rewrite: Rewrite; readonly unnoticed: RegExp }
  #state: 'thinking' | 'held' | 'running' | 'ended' = 'thinking'
  changed: () => void = () => {}
  /** The statement that is held or runs, in a few words. */
  sql = ''
  /** Whether it is the one before it once more, parameters and all. */
  asksAgain = false
  count = 0
  #asked = ''
  #go: () => void = () => {}

  constructor(
    name: string,
    { pool, pid }: Connection,
    options: { readonly rewrite: Rewrite; readonly unnoticed: RegExp },
  ) {
    this.name = name
    this.pid = pid
    this.#pool = pool
    this.#options = options
  }

  get state() {
    return this.#state
  }

  #become(state: typeof this.state): void {
    this.#state = state
    this.changed()
  }

  async run(writer: Writer): Promise<void> {
    try {
      await writer(this.#held(this.#pool))
    } finally {
      this.#become('ended')
    }
  }

  go(): void {
    this.#become('running')
    this.#go()
  }

  #held<T extends object>(inner: T): T {
    return new Proxy(inner, {
      get: (target, name) => {
        if (name === 'query') return (...asked: unknown[]) => this.#query(target as unknown as pg.Pool, asked)
        if (name === 'connect') return async () => this.#held(await (target as unknown as pg.Pool).connect())
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  async #query(target: pg.Pool, [asked, ...rest]: unknown[]): Promise<unknown> {
    const { rewrite, unnoticed: passes } = this.#options
    const sql = typeof asked === 'string' ? asked : (asked as { text: string }).text
    const text = rewrite(sql).replace(losesItsLocks, '$1 = 0')
    const query = typeof asked === 'string' ? text : { ...(asked as object), text }
    const send = () => target.query(...([query, ...rest] as Parameters<pg.Pool['query']>)) as unknown
    if (passes.test(sql)) return await (send() as Promise<unknown>)
    const words = sql.replace(/\s+/g, ' ').slice(0, 60)
    const asks = JSON.stringify([sql, rest, typeof asked === 'string' ? [] : asked])
    this.asksAgain = asks === this.#asked
    this.#asked = asks
    this.sql = words
    const turn = new Promise<void>((resolve) => {
      this.#go = resolve
    })
    this.#become('held')
    await turn
    try {
      return await (send() as Promise<unknown>)
    } finally {
      this.count++
      this.#become('thinking')
    }
  }
}

/** They begin and end, or set what only their own transaction sees. */
export const unnoticed = /^\s*(begin|rollback|savepoint|set local)\b/i

interface Connection {
  readonly pool: pg.Pool
  readonly pid: number
}

/** A pool of one connection, so that it is known which one waits. A deadlock is told at once. */
const connectOne = async (url: string): Promise<Connection> => {
  const pool = new pg.Pool({
    connectionString: url,
    max: 1,
    idleTimeoutMillis: 0,
    options: '-c deadlock_timeout=50ms -c synchronous_commit=off',
  })
  pool.on('error', () => {})
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  return { pool, pid: rows[0]!.pid }
}

/** One that is held in a transaction waits for its turn, however long the machine takes for that. */
const losesItsLocks = /(idle_in_transaction_session_timeout) = '\w+'/

const settlePatienceMs = 30_000
/** The most that one round counts: a process that stood still has not been waiting. */
const longestRoundMs = 1_000
/** One that takes longer may wait for a lock: Postgres is asked. */
const statementMs = 4
