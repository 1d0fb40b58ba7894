-- What a topic was first read with, and must always be read with: see src/consumer/topic-constants.ts.
create table embudo.topics (
  topic text primary key,
  duplicates_within integer not null
);
