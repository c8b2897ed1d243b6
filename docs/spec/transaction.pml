/*
 * The transaction protocol with two engines, one journal and one cluster, for the model checker SPIN:
 *
 *     spin -a transaction.pml && cc -O2 -DSAFETY -DNOCLAIM -o pan pan.c && ./pan -m100000 -w24
 *     spin -DCRASHES=1 ... -a transaction.pml && cc -O2 -o pan pan.c && ./pan -a -f -m100000 -w24     (every run ends)
 *
 * Engine 0 wants a transaction of N writes; engine 1 only recovers. Both may be killed at any step, and be so slow that
 * their Lease runs out while they live. Requests may be lost on the way, or applied without an answer. A stranger may
 * edit an object. The pure functions `decide` and `evolve` are walked by themselves in tests/transaction; here it is
 * about what they cannot see: rivals, the Lease, the order of disk and network.
 *
 * Assumptions, each with what makes it true in the code:
 *   A1  a request that was sent is applied or dead before its sender's Lease can be taken over (a Lease is renewed when a
 *       third of its life is over, and a write carries a server-side timeout shorter than the rest)
 *   A2  an append to the journal is atomic, durable when it returns, and refused to whoever has not seen all events
 *       (unique (transaction, n); the count is compared in the same database transaction)
 *   A3  the API server changes an object only if the version sent along is the present one
 *   A4  the server remembers whose write an object carries (the field manager is the idempotency key)
 *
 * Numbers that only grow (versions, counts of events, transitions of the Lease) are kept as what is asked of them: has
 * it moved since I looked?
 */

#ifndef N
#define N 2            /* writes, each to an object of its own */
#endif
#ifndef CRASHES
#define CRASHES 2      /* kills of either engine, together */
#endif
#ifndef LOSSES
#define LOSSES 1       /* requests or answers that are lost */
#endif
#ifndef EXPIRIES
#define EXPIRIES 1     /* Leases that run out while their holder lives */
#endif
#ifndef EDITS
#define EDITS 1        /* edits by a stranger */
#endif
#ifndef TRIES
#define TRIES 2        /* times the undo of one write is tried before it is given up */
#endif
#define NOBODY 2

mtype = { planned, intended, in_doubt, done, failed, undone, conflict, undo_failed };   /* of a write */
mtype = { running, committed, restored, needs_human };                                  /* ends */
mtype = { no_verdict, good, bad };

/* the cluster */
bit changed[N];        /* the object carries our change, and our key among its managers (A4) */
bit foreign[N];        /* a stranger has edited the field we changed */
bit pre_true[N];       /* the pre-image on disk is still what stands there */
byte holder = NOBODY;  /* of the Lease */

/* the journal */
mtype step[N] = planned;
bit intent[N];         /* ever intended: the pre-image is on disk */
byte tries[N];
bit begun, sealed, undoing, proved;
mtype verdict = no_verdict;
mtype end = running;

/* who knows what */
bit fresh[2];          /* an engine has seen all events of the journal */
bit looked[2 * N];     /* an engine knows an object's present version: looked[engine * N + object] */
bit in_flight[2];
byte crashes, losses, expiries, edits;

#define MINE (holder == me)
#define KNOWN looked[me * N + i]
/* One append: refused when another engine has appended since we read (A2). */
#define APPEND(effect) atomic { if :: fresh[me] -> fresh[1 - me] = 0; effect :: else -> goto overtaken fi }
#define MAY_DIE if :: crashes < CRASHES -> crashes++; goto dead :: true fi

inline moves(o) { looked[o] = 0; looked[N + o] = 0; pre_true[o] = 0 }

proctype Engine(byte me)
{
    byte i, k;
    bit answered, stored, clean;

again:
    atomic { i = 0; k = 0; answered = 0; stored = 0; clean = 0; fresh[me] = 0; k = 0;
             do :: k < N -> looked[me * N + k] = 0; k++ :: else -> break od; k = 0 }
    if
    :: end != running -> goto out
    :: atomic { end == running && holder == NOBODY && (begun || me == 0) -> holder = me; fresh[me] = 1 }
    fi;
    if
    :: !begun -> APPEND(begun = 1); goto forward
    :: begun -> skip
    fi;
    /* a new life: what was under way is in doubt */
    atomic {
        if :: fresh[me] -> fresh[1 - me] = 0 :: else -> goto overtaken fi;
        do
        :: k < N -> if :: step[k] == intended && !undoing -> step[k] = in_doubt :: else -> skip fi; k++
        :: else -> break
        od;
        k = 0
    };
resume:
    MAY_DIE;
    atomic {                                            /* the first write in doubt, if any */
        i = 0;
        do
        :: i < N && step[i] != in_doubt -> i++
        :: else -> break
        od
    };
    if
    :: i < N -> goto resolve
    :: i == N && undoing -> goto backward
    :: i == N && !undoing && sealed && verdict == good -> goto commit
    :: i == N && !undoing && !sealed && me == 0 -> goto forward             /* its own engine may go on */
    :: i == N && !undoing && !(sealed && verdict == good) -> goto undo
    fi;

resolve:                                                /* ask the cluster what became of it (A4) */
    if
    :: changed[i] -> APPEND(step[i] = done)
    :: !changed[i] -> APPEND(step[i] = planned)
    fi;
    goto resume;

forward:
    MAY_DIE;
    atomic {
        i = 0;
        do
        :: i < N && step[i] == done -> i++
        :: else -> break
        od
    };
    if
    :: i == N -> goto seal
    :: i < N && step[i] == planned -> skip
    :: i < N && step[i] != planned -> goto undo
    fi;
    KNOWN = 1;                                          /* read the object */
    APPEND(step[i] = intended; intent[i] = 1; pre_true[i] = KNOWN);
    MAY_DIE;
    atomic {                                            /* check the Lease and send (A1) */
        if :: MINE -> in_flight[me] = 1; stored = 0; answered = 1 :: else -> goto overtaken fi
    };
    MAY_DIE;
    atomic {
        if
        :: KNOWN ->                                     /* A3 */
            assert(intent[i]);
            assert(pre_true[i]);                        /* what an undo gives back is what was there */
            assert(MINE);                               /* one writer */
            assert(!undoing && end == running);
            assert(!changed[i]);                        /* never twice */
            moves(i); changed[i] = 1; stored = 1
        :: KNOWN && losses < LOSSES -> losses++; answered = 0       /* lost on the way */
        :: !KNOWN -> skip                               /* 409 */
        fi;
        in_flight[me] = 0;
        if
        :: answered && losses < LOSSES -> losses++; answered = 0    /* the answer is lost */
        :: true
        fi
    };
    MAY_DIE;
    if
    :: !answered -> APPEND(step[i] = in_doubt); goto resume
    :: answered && stored -> APPEND(step[i] = done)
    :: answered && !stored -> APPEND(step[i] = planned)             /* 409: read again */
    :: answered && !stored -> APPEND(step[i] = failed)              /* or refused for good */
    fi;
    stored = 0; answered = 0;
    goto forward;

seal:
    APPEND(sealed = 1);
    MAY_DIE;
    if
    :: true -> APPEND(verdict = good)
    :: true -> APPEND(verdict = bad)                    /* worse, unchanged, or unknown */
    fi;
    goto resume;

commit:
    if :: MINE -> skip :: else -> goto overtaken fi;
    APPEND(end = committed);
    goto release;

undo:
    APPEND(undoing = 1);
backward:
    MAY_DIE;
    atomic {
        i = N;
        do
        :: i > 0 && step[i - 1] != done -> i--
        :: else -> break
        od
    };
    if :: i == 0 -> goto prove :: i > 0 -> i-- fi;
    KNOWN = 1;
    if
    :: foreign[i] -> APPEND(step[i] = conflict); goto backward
    :: !foreign[i] && !changed[i] -> APPEND(step[i] = undone); goto backward            /* gone already */
    :: !foreign[i] && changed[i] && tries[i] >= TRIES -> APPEND(step[i] = undo_failed); goto backward
    :: !foreign[i] && changed[i] && tries[i] < TRIES -> APPEND(tries[i]++)              /* the inverse is on disk */
    fi;
    MAY_DIE;
    atomic {
        if :: MINE -> in_flight[me] = 1; stored = 0; answered = 1 :: else -> goto overtaken fi
    };
    MAY_DIE;
    atomic {
        if
        :: KNOWN ->
            assert(MINE);
            assert(undoing && end == running);
            assert(changed[i] && !foreign[i]);          /* nothing of a stranger's is overwritten */
            moves(i); changed[i] = 0; stored = 1
        :: KNOWN && losses < LOSSES -> losses++; answered = 0
        :: !KNOWN -> skip                               /* 409: merge anew */
        fi;
        in_flight[me] = 0;
        if
        :: answered && losses < LOSSES -> losses++; answered = 0
        :: true
        fi
    };
    MAY_DIE;
    if
    :: answered && stored -> APPEND(step[i] = undone)
    :: !(answered && stored) -> skip                    /* computed anew from what is there */
    fi;
    stored = 0; answered = 0;
    goto backward;

prove:                                                  /* read everything back */
    atomic {
        clean = 1; k = 0;
        do
        :: k < N -> if :: changed[k] && step[k] != conflict && step[k] != undo_failed -> clean = 0 :: else -> skip fi; k++
        :: else -> break
        od;
        k = 0
    };
    APPEND(proved = clean);
    MAY_DIE;
    atomic {
        clean = proved; k = 0;
        do
        :: k < N -> if :: step[k] == conflict || step[k] == undo_failed -> clean = 0 :: else -> skip fi; k++
        :: else -> break
        od;
        k = 0
    };
    if
    :: clean -> APPEND(end = restored)
    :: !clean -> APPEND(end = needs_human)
    fi;

release:
    atomic { if :: MINE -> holder = NOBODY :: else -> skip fi };
    goto out;

overtaken:                                              /* stopped before the next write: the new holder finishes it */
    atomic { in_flight[me] = 0; if :: MINE -> holder = NOBODY :: else -> skip fi };
    goto again;

dead:                                                   /* a request under way may still arrive in the Lease's life, or not */
    atomic {
        if
        :: in_flight[me] && KNOWN && !undoing ->
            if
            :: assert(intent[i] && pre_true[i] && !changed[i] && end == running); moves(i); changed[i] = 1
            :: skip
            fi
        :: in_flight[me] && KNOWN && undoing ->
            if
            :: assert(changed[i] && !foreign[i] && end == running); moves(i); changed[i] = 0
            :: skip
            fi
        :: else -> skip
        fi;
        in_flight[me] = 0;
        if :: MINE -> holder = NOBODY :: else -> skip fi            /* and then the Lease runs out */
    };
    goto again;
out:
    skip
}

/* A Lease may run out while its holder lives, but not with a request of its own under way (A1). */
proctype Clock()
{
    do
    :: atomic { expiries < EXPIRIES && holder != NOBODY && !in_flight[holder] -> expiries++; holder = NOBODY }
    :: expiries >= EXPIRIES || end != running -> break
    od
}

/* Somebody edits an object: its version moves on, and where we had changed it, so does the field. */
proctype Stranger()
{
    byte k;
    do
    :: atomic {
        edits < EDITS && end == running -> edits++;
        select(k : 0 .. N - 1); moves(k); foreign[k] = changed[k]; k = 0
       }
    :: edits >= EDITS || end != running -> break
    od
}

/* What each end promises. */
proctype Judge()
{
    byte k;
    bit named;
    atomic {
        end != running ->
        do
        :: k < N ->
            named = named || step[k] == conflict || step[k] == undo_failed;
            if
            :: end == committed -> assert(verdict == good && step[k] == done && changed[k])
            :: end == restored -> assert(proved && !changed[k] && step[k] != conflict)
            :: end == needs_human -> assert(!changed[k] || step[k] == conflict || step[k] == undo_failed)
            fi;
            k++
        :: else -> break
        od;
        assert(end != needs_human || named)             /* a human is only called with a named reason */
    }
}

init { atomic { run Engine(0); run Engine(1); run Clock(); run Stranger(); run Judge() } }

/* Every run ends, however often (a bounded number of times) engines are killed. */
ltl ends { <> (end != running) }
