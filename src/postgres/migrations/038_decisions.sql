alter table embudo.dead_letters
  -- What an edit has put in the place of `value`, which stays as the log has it (ClickHouse: rows are written later).
  add column edited bytea,
  -- The id of the event that decides about it, from before it is sent: it is or may be in the log.
  add column decision text,
  -- When every generation was found, or made, to go by what was decided.
  add column everywhere_at timestamptz;
update embudo.dead_letters set everywhere_at = now() where decided_at is not null;
create index dead_letters_decided on embudo.dead_letters (id)
  where decision is not null and everywhere_at is null;
create index dead_letters_undone on embudo.dead_letters (id) where state in ('open', 'deciding');
