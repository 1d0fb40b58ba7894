import type { EffectTools } from '../../../src/define/saga.ts'
import type { Seats } from '../ports.ts'

const seatsPerCourse = 100

/** A course has 100 seats; one whose id ends in `-full` has none. */
export const sandboxSeats = {
  // A reservation under a key is made once: held, refused, or released. One that is released before it was made
  // is there as released, so that a reservation that comes late gets nothing.
  tables: `
    create table if not exists sandbox.courses (
      course_id text primary key,
      held integer not null default 0
    ) with (fillfactor = 50);
    create table if not exists sandbox.seat_reservations (
      key text primary key,
      course_id text,
      enrollment_id text,
      state text not null check (state in ('held', 'refused', 'released')),
      released_under text,
      at timestamptz not null default now()
    );
    create or replace function sandbox.reserve_seat(k text, course text, enrollment text, seats integer) returns text
    language plpgsql as $$
    declare
      answer text;
    begin
      select r.state into answer from sandbox.seat_reservations r where r.key = k;
      if found then return answer; end if;
      insert into sandbox.courses (course_id) values (course) on conflict do nothing;
      insert into sandbox.seat_reservations (key, course_id, enrollment_id, state)
        values (k, course, enrollment, 'refused') on conflict do nothing;
      if found then
        update sandbox.courses set held = held + 1 where course_id = course and held < seats;
        if found then update sandbox.seat_reservations r set state = 'held' where r.key = k; end if;
      end if;
      return (select r.state from sandbox.seat_reservations r where r.key = k);
    end $$;
    create or replace function sandbox.release_seat(k text, undo_key text) returns boolean
    language plpgsql as $$
    declare
      course text;
    begin
      insert into sandbox.seat_reservations (key, state) values (k, 'released') on conflict do nothing;
      update sandbox.seat_reservations r set state = 'released', released_under = undo_key
        where r.key = k and r.state = 'held' returning r.course_id into course;
      if found then update sandbox.courses c set held = held - 1 where c.course_id = course; end if;
      return exists (select from sandbox.seat_reservations r where r.key = k and r.released_under = undo_key);
    end $$`,

  connect: ({ sql }: EffectTools): Seats => ({
    async reserve({ key, courseId, enrollmentId }) {
      const seats = courseId.endsWith('-full') ? 0 : seatsPerCourse
      const [row] = await sql('select sandbox.reserve_seat($1, $2, $3, $4) as state', [
        key,
        courseId,
        enrollmentId,
        seats,
      ])
      return row?.state === 'held' ? 'reserved' : 'full'
    },
    async release({ key, reservedUnder }) {
      const [row] = await sql('select sandbox.release_seat($1, $2) as released', [reservedUnder, key])
      return row?.released === true
    },
  }),
}
