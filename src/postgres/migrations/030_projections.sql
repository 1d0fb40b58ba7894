-- What became of every record that a reader has read, kept in the transaction that moves its position: see
-- src/consumer/positions.ts. `origin` is where it began to count.
alter table embudo.positions
  add column origin bigint not null default 0,
  add column applied bigint not null default 0,
  add column ignored bigint not null default 0,
  add column duplicates bigint not null default 0,
  add column dead_lettered bigint not null default 0,
  add column markers bigint not null default 0;
update embudo.positions set origin = next_offset;

-- A generation that was live is fed on as `previous`, so that a rollback is never stale, until it is retired and dropped.
alter table embudo.generations drop constraint generations_state_check;
alter table embudo.generations
  add constraint generations_state_check check (state in ('building', 'live', 'previous', 'retired')),
  add column paused boolean not null default false,
  -- Records a second, over all its partitions; null: as fast as it goes.
  add column max_per_second integer check (max_per_second > 0),
  -- Whether it becomes the live one by itself once it has caught up and was verified.
  add column switches_itself boolean not null default true,
  -- The outcome of the last comparison with the live one.
  add column verified jsonb;
create unique index one_previous on embudo.generations (projection) where state = 'previous';

-- Records that a projection could not apply, and those of the same subject that wait behind them, in the order of
-- the log: see src/dead-letter.
create table embudo.dead_letters (
  id bigint generated always as identity primary key,
  reader text not null,
  generation integer not null,
  topic text not null,
  partition integer not null,
  "offset" bigint not null,
  subject text collate "C" not null,
  -- The event's, where its bytes tell.
  type text,
  -- The record as the log has it.
  key bytea,
  value bytea,
  headers json not null,
  appended_at_ms bigint not null,
  -- `poison`: it failed itself. `behind`: it waits for one before it.
  cause text not null check (cause in ('poison', 'behind')),
  code text,
  error text,
  -- `open`: waits. `deciding`: a decision is on its way into the log. `retrying`: is written with the next flush (ClickHouse). `applied`, `discarded`: settled.
  state text not null default 'open' check (state in ('open', 'deciding', 'retrying', 'applied', 'discarded')),
  attempts integer not null default 1,
  parked_at timestamptz not null default now(),
  decided_at timestamptz,
  settled_at timestamptz,
  unique (reader, generation, topic, partition, "offset")
);
create index dead_letters_open on embudo.dead_letters (reader, generation, topic, partition, subject, "offset")
  where state in ('open', 'deciding', 'retrying');
