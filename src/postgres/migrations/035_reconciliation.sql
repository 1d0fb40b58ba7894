-- What the last look at the completeness of every reader found, in one row: see src/projection/completeness-watch.ts.
create table embudo.reconciliation (
  is_the_one boolean primary key default true check (is_the_one),
  at timestamptz not null,
  -- As `Mismatch` in src/projection/reconcile.ts says; empty where everything adds up.
  mismatches jsonb not null
);
