-- Where each reader stands: see src/consumer/positions.ts.
create table embudo.positions (
  reader text not null,
  generation integer not null,
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  epoch bigint not null,
  mark text not null,
  moved_at timestamptz not null default now(),
  primary key (reader, generation, topic, partition)
) with (fillfactor = 50);

-- Who is alive: see src/consumer/membership.ts.
create table embudo.workers (
  id text primary key,
  seen_at timestamptz not null,
  started_at timestamptz not null default now(),
  readers text[] not null default '{}'
) with (fillfactor = 50);

-- What each reader does in the partitions it owns, for people to look at.
create table embudo.partition_status (
  reader text not null,
  generation integer not null,
  topic text not null,
  partition integer not null,
  worker text not null,
  state text not null,
  error text,
  at timestamptz not null default now(),
  primary key (reader, generation, topic, partition)
) with (fillfactor = 50);

-- Every generation of every projection: see src/projection/generations.ts.
create table embudo.generations (
  projection text not null,
  generation integer not null,
  version integer not null,
  state text not null check (state in ('building', 'live', 'retired')),
  -- How many records the log held when the rebuild began: what "percent" counts against.
  target bigint not null default 0,
  created_at timestamptz not null default now(),
  live_at timestamptz,
  retired_at timestamptz,
  primary key (projection, generation)
);

create unique index one_live on embudo.generations (projection) where state = 'live';
create unique index one_building on embudo.generations (projection) where state = 'building';
