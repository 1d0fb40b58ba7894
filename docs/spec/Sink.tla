---- MODULE Sink ----
\* The ClickHouse sink: exactly once by fence, drain and look. `make spec` checks it, and that each of its buggy twins
\* fails. One partition, and everything that can happen to it: workers die, are stopped and come back, their requests
\* arrive late or are answered late, Postgres loses what it had not flushed, or is set back to a backup.
EXTENDS Naturals, FiniteSets
CONSTANTS
  N,         \* length of the log
  Bad,       \* offsets of records that cannot be rows until somebody edits them
  Workers,
  MaxEpoch,
  Losses,    \* how often Postgres loses its tail
  Restores,  \* how often Postgres is set back to its beginning, with all workers stopped
  \* FALSE makes a twin that is wrong:
  Fenced,    \* an insert reads the fence as it starts
  Drain,     \* a take-over waits for the inserts that had started
  Tail,      \* the look finds every row at or past the position (FALSE: nothing)
  Below,     \* a letter that is retried is looked for too
  Past,      \* a fence that is ahead of Postgres raises the epoch
  Checked    \* a commit is conditional on the epoch
VARIABLES
  pg,        \* [next, letters, epoch]: the position, what became of bad records, and who may write
  dur,       \* the part of it that Postgres cannot lose
  fence, cnt,\* in ClickHouse: the highest epoch that was written down; how often each offset is there
  net, run,  \* inserts on their way, and executing: <<epoch, offsets, worker>>
  w,         \* what each worker does
  lost, restored
v == <<pg, dur, fence, cnt, net, run, w, lost, restored>>

Offsets == 0..N-1
Idle == [st |-> "idle", ep |-> 0, at |-> 0, held |-> {}, retry |-> {}, s |-> {}, hi |-> 0, parks |-> {}, ok |-> FALSE]
Empty == [next |-> 0, letters |-> [o \in Bad |-> "none"], epoch |-> 0]
Max(a, b) == IF a > b THEN a ELSE b

Init == /\ pg = Empty /\ dur = Empty /\ fence = 0 /\ cnt = [o \in Offsets |-> 0] /\ net = {} /\ run = {}
        /\ w = [i \in Workers |-> Idle] /\ lost = 0 /\ restored = 0

\* Postgres. Whoever raises an epoch commits synchronously; positions and letters may be lost with the tail.
Sync == dur # pg /\ dur' = pg /\ UNCHANGED <<pg, fence, cnt, net, run, w, lost, restored>>
Lose == /\ lost < Losses /\ dur # pg /\ lost' = lost + 1 /\ pg' = dur
        /\ UNCHANGED <<dur, fence, cnt, net, run, w, restored>>
Restore == /\ restored < Restores /\ \A i \in Workers : w[i].st = "idle"
           /\ restored' = restored + 1 /\ pg' = Empty /\ dur' = Empty
           /\ UNCHANGED <<fence, cnt, net, run, w, lost>>
\* An operator has edited a letter and wants it retried.
Retry(o) == /\ pg.letters[o] = "open" /\ pg.epoch < MaxEpoch
            /\ pg' = [pg EXCEPT !.letters[o] = "retry", !.epoch = @ + 1] /\ dur' = pg'
            /\ UNCHANGED <<fence, cnt, net, run, w, lost, restored>>

\* A take-over: raise the epoch, fence, drain, look.
Acquire(i) == /\ pg.epoch < MaxEpoch /\ w[i].st \in {"idle", "wait"}
              /\ pg' = [pg EXCEPT !.epoch = @ + 1] /\ dur' = pg'
              /\ w' = [w EXCEPT ![i] = [Idle EXCEPT !.st = "ask", !.ep = pg.epoch + 1, !.at = pg.next]]
              /\ UNCHANGED <<fence, cnt, net, run, lost, restored>>
\* An epoch that ClickHouse knows already was given before Postgres was set back: whoever had it may still send.
Ask(i) == /\ w[i].st = "ask"
          /\ IF Past /\ fence >= w[i].ep
             THEN pg' = [pg EXCEPT !.epoch = Max(@, fence)] /\ dur' = pg' /\ w' = [w EXCEPT ![i] = Idle]
             ELSE w' = [w EXCEPT ![i].st = "fence"] /\ UNCHANGED <<pg, dur>>
          /\ UNCHANGED <<fence, cnt, net, run, lost, restored>>
Fence(i) == /\ w[i].st = "fence" /\ fence' = Max(fence, w[i].ep) /\ w' = [w EXCEPT ![i].st = "look"]
            /\ UNCHANGED <<pg, dur, cnt, net, run, lost, restored>>
Look(i) == /\ w[i].st = "look" /\ (Drain => \A m \in run : m[1] >= w[i].ep)
           /\ w' = [w EXCEPT ![i].st = "ready",
                ![i].held = {o \in Offsets : cnt[o] > 0 /\ IF o < w[i].at THEN Below ELSE Tail},
                ![i].retry = {o \in Bad : pg.letters[o] = "retry" /\ o < w[i].at}]
           /\ UNCHANGED <<pg, dur, fence, cnt, net, run, lost, restored>>

\* A flush: rows, then position and letters. Records that are bad are parked; letters that are retried come first.
Cut(i) == /\ w[i].st = "ready"
          /\ \E hi \in w[i].at..N :
               LET read == w[i].at..hi-1
                   now == {o \in read \cap Bad : pg.letters[o] \in {"retry", "done"}}  \* edited: read so by everyone
                   parks == (read \cap Bad) \ (now \cup w[i].held)
               IN /\ hi > w[i].at \/ w[i].retry # {}
                  /\ w' = [w EXCEPT ![i].st = "send", ![i].hi = hi, ![i].parks = parks,
                       ![i].s = (((read \ parks) \cup w[i].retry) \ w[i].held)]
          /\ UNCHANGED <<pg, dur, fence, cnt, net, run, lost, restored>>
Send(i) == /\ w[i].st = "send" /\ net' = (IF w[i].s = {} THEN net ELSE net \cup {<<w[i].ep, w[i].s, i>>})
           /\ w' = [w EXCEPT ![i].st = "wait", ![i].ok = (w[i].s = {})]
           /\ UNCHANGED <<pg, dur, fence, cnt, run, lost, restored>>
\* An insert that is fenced writes nothing, and is answered like any other.
Answer(m) == w' = [w EXCEPT ![m[3]].ok = @ \/ (w[m[3]].st = "wait" /\ w[m[3]].ep = m[1])]
Start(m) == /\ net' = net \ {m}
            /\ IF Fenced /\ m[1] < fence THEN Answer(m) /\ UNCHANGED run ELSE run' = run \cup {m} /\ UNCHANGED w
            /\ UNCHANGED <<pg, dur, fence, cnt, lost, restored>>
Finish(m) == /\ run' = run \ {m} /\ cnt' = [o \in Offsets |-> IF o \in m[2] THEN cnt[o] + 1 ELSE cnt[o]] /\ Answer(m)
             /\ UNCHANGED <<pg, dur, fence, net, lost, restored>>
Commit(i) == /\ w[i].st = "wait" /\ w[i].ok /\ (Checked => w[i].ep = pg.epoch /\ w[i].at = pg.next)
             /\ pg' = [pg EXCEPT !.next = w[i].hi, !.letters = [o \in Bad |->
                  IF o \in w[i].parks THEN (IF @[o] = "none" THEN "open" ELSE @[o])
                  ELSE IF o \in w[i].retry \/ (o >= w[i].at /\ o < w[i].hi /\ @[o] # "none") THEN "done" ELSE @[o]]]
             /\ w' = [w EXCEPT ![i].st = "ready", ![i].at = w[i].hi, ![i].s = {}, ![i].retry = {}, ![i].parks = {}, ![i].ok = FALSE]
             /\ UNCHANGED <<dur, fence, cnt, net, run, lost, restored>>
Crash(i) == w[i].st # "idle" /\ w' = [w EXCEPT ![i] = Idle] /\ UNCHANGED <<pg, dur, fence, cnt, net, run, lost, restored>>

Next == \/ Sync \/ Lose \/ Restore \/ (\E o \in Bad : Retry(o))
        \/ (\E i \in Workers : Acquire(i) \/ Ask(i) \/ Fence(i) \/ Look(i) \/ Cut(i) \/ Send(i) \/ Commit(i) \/ Crash(i))
        \/ (\E m \in net : Start(m)) \/ (\E m \in run : Finish(m))
Spec == Init /\ [][Next]_v

Once == \A o \in Offsets : cnt[o] <= 1
\* Behind the position everything is a row, or a letter that says so.
NoLoss == \A o \in 0..pg.next-1 : cnt[o] >= 1 \/ (o \in Bad /\ pg.letters[o] \in {"open", "retry"})
Settled == \A o \in Bad : pg.letters[o] = "done" => cnt[o] = 1
====
