-- Sagas. These tables are primary data: what they hold cannot be derived from the log. Back them up like it.

create table embudo.sagas (
  id uuid primary key,
  type text collate "C" not null,
  version integer not null,
  subject text collate "C" not null,
  state text collate "C" not null check (state in
    ('RUNNING', 'WAITING', 'COMPENSATING', 'COMPLETED', 'COMPENSATED', 'COMPENSATION_FAILED', 'ABORTED')),
  step text not null,
  attempt integer not null,
  failures integer not null,
  -- The steps to take back. A step is in here before its call runs.
  undo json not null,
  results json not null,
  reason text,
  -- json, not jsonb: an event from elsewhere may hold text that jsonb refuses.
  start json not null,
  started_at timestamptz not null default now(),
  wait_until timestamptz,
  -- When somebody has to look at it next. Whoever claims it moves this on by the length of its lease.
  due_at timestamptz,
  ended_at timestamptz,
  -- Raised with each claim: an outcome that comes under an older one is refused.
  claim bigint not null default 0
) with (fillfactor = 70);

create index sagas_due on embudo.sagas (due_at) where due_at is not null;
create index sagas_listed on embudo.sagas (started_at desc, id desc);
create index sagas_subject on embudo.sagas (subject);
create index sagas_open on embudo.sagas (state, started_at desc, id desc) where state not in ('COMPLETED', 'COMPENSATED');

-- What happened to each saga, in order: its timeline.
create table embudo.saga_journal (
  seq bigint generated always as identity primary key,
  saga_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  step text,
  what text not null,
  attempt integer,
  error text
);
create index saga_journal_saga on embudo.saga_journal (saga_id, seq);

-- Awaited events: they may come before the saga waits for them, even before it has started.
create table embudo.saga_inbox (
  saga_id uuid not null,
  source text not null,
  event_id text not null,
  seq bigint generated always as identity,
  type text not null,
  event json not null,
  received_at timestamptz not null default now(),
  applied_at timestamptz,
  primary key (saga_id, source, event_id)
);
create index saga_inbox_received on embudo.saga_inbox (received_at);

-- Events that sagas have emitted and the log does not have yet, in order.
create table embudo.saga_outbox (
  seq bigint generated always as identity primary key,
  saga_id uuid not null,
  event_id text not null,
  type text not null,
  source text not null,
  time text not null,
  data json not null,
  causation_id text,
  traceparent text
);
