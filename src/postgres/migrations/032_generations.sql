-- How generations are looked after: see src/projection/manager.ts.
alter table embudo.generations
  -- Since when it is kept for a rollback.
  add column previous_at timestamptz,
  -- When its tables went. The row stays: a process that was stopped for long must never meet its number again.
  add column dropped_at timestamptz,
  -- Why it could not be fed or looked after the last time; null: it could.
  add column error text,
  -- What was applied when, in the last seconds: what "events per second" counts from.
  add column samples jsonb not null default '[]';
