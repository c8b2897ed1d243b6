"""Commands in containers: checked before, journalled, never run twice unseen, taken back and proved."""

from __future__ import annotations

import itertools
import json
from base64 import b64encode

import pytest
from txn_fake import obj, placements, ref, rehearsed, set_data
from txn_inside import LIMIT, ROLE, Database, change, granting
from txn_kit import INCIDENT, Died, MemoryJournal, Tripwire, engine_on, fresh, walked

from stratus.errors import ClusterError, ClusterUnreachable, CommandRefused, InDoubt, LeaseLost
from stratus.model.actions import PlannedWrite
from stratus.model.transactions import Transaction
from stratus.transaction.breakers import REPEATS
from stratus.transaction.cost import cost_of_plan
from stratus.transaction.inside import left_over, output_changes, redacted, same
from stratus.transaction.lock import LeaseLock

LOOK = (*LIMIT, "show")


@pytest.fixture
def database(cluster):
    return Database(cluster)


def engine(cluster, database, journal, *, good=False, **more):
    healed = (lambda c: ROLE in database.roles) if good else (lambda c: False)
    return engine_on(cluster, journal, healed=healed, executor=database, **more)


def begin(cluster, database, journal, *writes, **more):
    made = engine(cluster, database, journal, **more)
    return made, made.begin("i", "t1", writes or (granting(),), "shop")


def state(output):
    return {"kind": "ContainerState", "output": output}


# ── the way of one ──


def test_it_is_run_once_and_kept_when_it_helps(cluster, database, journal):
    made, done = begin(cluster, database, journal, good=True)
    assert done.state == "applied"
    assert database.ran == ["grant write"]
    assert made.validate("t1", INCIDENT).verdict == "RESOLVED"
    assert made.commit("t1").state == "committed"
    assert database.roles == ["read", "write"]


def test_intent_with_the_pre_image_and_the_compensation_is_on_disk_before_it_runs(cluster, database, journal):
    seen = []

    def trip(name):
        if name == "write:0:before":
            seen.extend(journal.entries("t1"))

    begin(cluster, database, journal, tripwire=trip)
    assert [e.kind for e in seen] == ["begun", "measured", "intended"]
    assert seen[-1].body["before"]["output"] == "role: read\n"
    assert seen[0].body["writes"][0]["compensable"]["change"]["compensation"]["argv"] == [*LIMIT, "revoke", "write"]


def test_what_the_journal_tells_of_it(cluster, database, journal):
    _, done = begin(cluster, database, journal)
    record = done.writes[0]
    assert (record.before["output"], record.after["output"]) == ("role: read\n", "role: read\nrole: write\n")
    assert record.compensable == change()
    assert record.write.body["command"] == [*LIMIT, "grant", "write"]


def test_its_undo_is_proved_by_its_check_and_the_state(cluster, database, journal):
    made, _ = begin(cluster, database, journal)
    done = made.undo("t1", "did not help")
    assert done.state == "undone"
    assert done.undo_proof.proved
    assert done.undo_proof.checked == 1
    assert database.ran == ["grant write", "revoke write"]
    assert database.roles == ["read"]


def test_undone_weeks_later_by_another_engine_in_another_pod(cluster, database, journal):
    made, _ = begin(cluster, database, journal, good=True)
    made.validate("t1", INCIDENT)
    made.commit("t1")
    cluster.clock.advance(20 * 86400)
    database.stop()
    database.start("db-7")
    done = engine(cluster, database, journal, identity="later").undo("t1", "a person asks", reopen=True)
    assert done.state == "undone"
    assert database.pods[-1] == "db-7"
    assert database.roles == ["read"]


def test_done_again_after_its_undo(cluster, database, journal):
    made, _ = begin(cluster, database, journal)
    made.undo("t1", "x")
    assert made.redo("t1", "t2").state == "applied"
    assert database.roles == ["read", "write"]


def test_beside_a_write_to_its_own_workload(cluster, database, journal):
    cluster.put(obj("ConfigMap", "conf", data={"mode": "slow"}))
    writes = (rehearsed(cluster, set_data("conf", mode="fast")), granting())
    made, _ = begin(cluster, database, journal, *writes)
    assert made.undo("t1", "x").state == "undone"
    assert database.roles == ["read"]
    assert cluster.objects[ref("ConfigMap", "conf").key]["data"] == {"mode": "slow"}


# ── not run ──


def test_not_run_when_the_fault_does_not_show(cluster, database, journal):
    database.roles = ["read", "write"]
    _, done = begin(cluster, database, journal)
    assert done.state == "undone"
    assert "the fault does not show" in done.writes[0].error
    assert database.ran == []


def test_not_run_when_the_state_cannot_be_looked_at(cluster, database, journal):
    database.look_faults = [ClusterError("no such program", status=500)] * 20
    _, done = begin(cluster, database, journal)
    assert done.state == "undone"
    assert "cannot be looked at" in done.writes[0].error
    assert database.ran == []


def test_not_run_without_a_running_pod(cluster, database, journal):
    database.stop()
    _, done = begin(cluster, database, journal)
    assert done.state == "undone"
    assert "has no pod" in done.writes[0].error


def test_a_pod_that_comes_within_a_minute_is_waited_for(cluster, database, journal):
    database.stop()
    naps = itertools.count()
    sleep = cluster.clock.sleep

    def nap(seconds):
        sleep(seconds)
        if next(naps) == 3:
            database.start()

    cluster.clock.sleep = nap
    _, done = begin(cluster, database, journal)
    assert done.state == "applied"


def test_an_engine_without_the_power_refuses_before_anything_is_sent(cluster, database, journal):
    with pytest.raises(CommandRefused) as caught:
        engine_on(cluster, journal).begin("i", "t1", (granting(),), "shop")
    assert caught.value.code == "no_exec"
    assert journal.list() == ()


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda p: p.model_copy(update={"compensable": None}),
        lambda p: p.model_copy(update={"reversibility": "exact"}),
        lambda p: p.model_copy(update={"compensable": change().model_copy(update={"runbook": ""})}),
        lambda p: p.model_copy(update={"compensable": change("admin")}),
        lambda p: p.model_copy(
            update={"write": p.write.model_copy(update={"body": {**p.write.body, "command": ["rm"]}})}
        ),
        lambda p: p.model_copy(
            update={
                "compensable": change().model_copy(update={"workload": ref("Pod", "db-0")}),
                "write": change().model_copy(update={"workload": ref("Pod", "db-0")}).write(change().change.command),
            }
        ),
    ],
)
def test_default_deny(cluster, database, journal, spoiled):
    with pytest.raises(CommandRefused, match="only what can be taken back"):
        begin(cluster, database, journal, spoiled(granting()))
    assert database.sent == []


def test_the_same_command_again_and_again_heals_nothing(cluster, database, journal):
    made = engine(cluster, database, journal, good=True)
    for number in range(REPEATS):
        made.begin("i", f"t{number}", (granting(),), "shop")
        made.validate(f"t{number}", INCIDENT)
        assert made.commit(f"t{number}").state == "committed"
        database.roles.remove("write")
    with pytest.raises(CommandRefused, match="once more heals nothing"):
        made.begin("i", "t9", (granting(),), "shop")
    assert made.begin("i", "t10", (granting("other"),), "shop").state == "applied"


# ── it does something else ──


def test_a_command_that_fails_and_did_nothing_is_no_change(cluster, database, journal):
    database.broken = {"grant"}
    _, done = begin(cluster, database, journal)
    assert done.state == "undone"
    assert "exit code 1" in done.writes[0].error
    assert done.writes[0].state == "failed"


def test_a_command_that_fails_half_way_is_taken_back(cluster, database, journal):
    database.partly = {"grant"}
    _, done = begin(cluster, database, journal)
    assert done.state == "undone"
    assert database.ran == ["grant write", "revoke write"]
    assert "did not do what it should" in done.reason


def test_a_command_that_says_yes_and_does_nothing_is_not_believed(cluster, database, journal):
    database.deaf = {"grant"}
    _, done = begin(cluster, database, journal)
    assert done.state == "undone"
    assert done.writes[0].state == "failed"


def test_a_compensation_that_does_nothing_is_not_believed(cluster, database, journal):
    database.deaf = {"revoke"}
    made, _ = begin(cluster, database, journal)
    done = made.undo("t1", "x")
    assert done.state == "undo_incomplete"
    assert not done.undo_proof.proved
    assert "still there: role: write" in done.reason


def test_a_compensation_that_fails_is_escalated_and_can_be_tried_again(cluster, database, journal):
    database.broken = {"revoke"}
    made, _ = begin(cluster, database, journal)
    done = made.undo("t1", "x")
    assert done.state == "undo_incomplete"
    assert "cannot revoke" in done.reason
    database.broken = set()
    assert made.undo("t1", "again", reopen=True).state == "undone"


def test_a_compensation_whose_check_holds_while_the_state_differs_is_escalated(cluster, database, journal):
    """The check alone is not enough: what the compensation left behind shows in the state."""
    wrong = granting(compensation={"argv": (*LIMIT, "both", "read")})
    made, _ = begin(cluster, database, journal, wrong)
    done = made.undo("t1", "x")
    assert done.state == "undo_incomplete"
    assert "lacks role: read" in done.reason


# ── strangers ──


def test_what_others_granted_since_stays(cluster, database, journal):
    made, _ = begin(cluster, database, journal)
    database.roles.append("theirs")
    assert made.undo("t1", "x").state == "undone"
    assert database.roles == ["read", "theirs"]


def test_what_others_took_away_already_is_undone(cluster, database, journal):
    made, _ = begin(cluster, database, journal)
    database.roles.remove("write")
    assert made.undo("t1", "x").state == "undone"
    assert database.ran == ["grant write"]


def test_what_others_made_of_it_since_is_a_conflict(cluster, database, journal):
    two = granting(check_after={"argv": LOOK, "contains": ("role: write", "role: read")})
    made, _ = begin(cluster, database, journal, two)
    database.roles = ["write", "theirs"]
    done = made.undo("t1", "x")
    assert done.state == "needs_human"
    assert "changed by somebody else" in done.reason
    assert database.ran == ["grant write"]


# ── nobody answers ──


@pytest.mark.parametrize("fault", ["lost_after", "stored_500"])
def test_what_has_worked_without_an_answer_is_not_run_again(cluster, database, journal, fault):
    cluster.faults = [fault]
    _, done = begin(cluster, database, journal)
    assert done.state == "applied"
    assert database.ran == ["grant write"]
    assert done.writes[0].after["output"] == "role: read\nrole: write\n"


@pytest.mark.parametrize("fault", ["lost_before", "unavailable"])
def test_what_has_not_worked_is_run_again_only_after_it_must_have_ended(cluster, database, journal, fault):
    cluster.faults = [fault]
    began = cluster.clock.now()
    _, done = begin(cluster, database, journal)
    assert done.state == "applied"
    assert database.ran == ["grant write"]
    assert cluster.clock.now() - began >= 11.0


@pytest.mark.parametrize("fault", ["throttled", "unreachable", "conflict"])
def test_what_was_refused_for_now_is_tried_again(cluster, database, journal, fault):
    cluster.faults = [fault]
    _, done = begin(cluster, database, journal)
    assert done.state == "applied"
    assert database.ran == ["grant write"]


def test_what_may_not_be_run_fails(cluster, database, journal):
    cluster.faults = ["invalid"]
    _, done = begin(cluster, database, journal)
    assert done.state == "undone"
    assert database.ran == []


def test_a_command_that_works_after_it_was_taken_for_lost_is_found(cluster, database, journal):
    """It comes between the look that found nothing and the next try."""
    cluster.faults = ["lost_before"]

    def trip(name):
        if name == "journal:resolved:0:after":
            database.roles.append("write")

    made, done = begin(cluster, database, journal, tripwire=trip)
    assert done.state == "applied"
    assert database.ran == []
    assert done.writes[0].before["output"] == "role: read\n"
    assert made.undo("t1", "x").state == "undone"
    assert database.roles == ["read"]


def test_neither_here_nor_there_is_for_a_human(cluster, database, journal):
    cluster.faults = ["lost_before"]

    def trip(name):
        if name == "journal:outcome:0:after":
            database.roles = ["something", "else"]

    _, done = begin(cluster, database, journal, tripwire=trip)
    assert done.state == "needs_human"
    assert database.ran == []
    assert "in doubt" in done.reason


def test_an_unanswered_compensation_is_looked_for_before_it_is_run_again(cluster, database, journal):
    made, _ = begin(cluster, database, journal)
    cluster.faults = ["lost_after"]
    assert made.undo("t1", "x").state == "undone"
    cluster.faults = []
    assert database.ran == ["grant write", "revoke write"]


def test_the_api_is_away_while_looking_and_the_transaction_waits(cluster, database, journal):
    made, _ = begin(cluster, database, journal)
    database.look_faults = [ClusterUnreachable("refused")] * 3
    with pytest.raises(ClusterUnreachable):
        made.undo("t1", "x")
    assert journal.open_transactions() == ("t1",)
    assert engine(cluster, database, journal, identity="two").recover()[0].state == "undone"


def test_a_look_that_nobody_answers_is_repeated(cluster, database, journal):
    database.look_faults = [InDoubt("no answer"), ClusterError("busy", status=503)]
    _, done = begin(cluster, database, journal)
    assert done.state == "applied"


# ── the lock ──


def test_every_command_checks_the_lock(cluster, database, journal):
    """Also those that only look: who has lost the Lease does not even enter a container."""
    rival = LeaseLock(
        reader=cluster, writer=cluster, clock=cluster.clock, namespace="shop", identity="rival", seconds=30.0
    )
    names = Tripwire()
    begin(*walked_with(names))
    for step in [n for n in names.names if n.startswith(("journal:measured", "journal:intended", "write:0:before"))]:
        clock, other, memory = walked()
        data = Database(other)
        taker = LeaseLock(reader=other, writer=other, clock=clock, namespace="shop", identity="rival", seconds=30.0)
        counted = []

        def trip(name, step=step, clock=clock, taker=taker, data=data, counted=counted):
            if name == step:
                clock.advance(31)
                taker.acquire()
                counted.append(len(data.sent))

        with pytest.raises(LeaseLost, match="rival"):
            begin(other, data, memory, tripwire=trip)
        assert counted == [len(data.sent)], step
    assert not rival.held


def walked_with(tripwire):
    _, cluster, memory = walked()
    database = Database(cluster)
    engine_on(cluster, memory, executor=database, tripwire=tripwire).begin("i", "t0", (granting(),), "shop")
    database.roles.remove("write")
    return cluster, database, memory


# ── every crash, every fault ──


def finished(cluster, database, memory) -> Transaction | None:
    """Recover until nothing is open, as the next engine would."""
    for number in range(4):
        cluster.clock.advance(100)
        engine(cluster, database, memory, identity=f"next-{number}").recover()
        if not memory.open_transactions():
            break
    assert not memory.open_transactions()
    told = engine(cluster, database, memory).list()
    return told[0] if told else None


def right(database: Database, done: Transaction | None, case: object) -> None:
    """Nothing ran twice; what is called undone is; what is kept is there once."""
    assert database.ran.count("grant write") <= 1, case
    assert database.ran.count("revoke write") <= 1, case
    if done is None or done.state == "undone":
        assert database.roles == ["read"], case
    elif done.state == "committed":
        assert database.roles == ["read", "write"], case
    else:
        assert done.state in ("needs_human", "undo_incomplete"), case
        assert done.reason, case


def run_through(cluster, database, memory, tripwire, good):
    made = engine(cluster, database, memory, good=good, tripwire=tripwire)
    done = made.begin("i", "t1", (granting(),), "shop")
    if done.state == "applied":
        report = made.validate("t1", INCIDENT)
        if report.verdict == "RESOLVED":
            made.commit("t1")
        else:
            made.undo("t1", report.reason)


@pytest.mark.parametrize("good", [True, False])
def test_killed_at_every_step_and_again_in_recovery(good):
    """Every step of the way, and every step of the recovery from it: kept once, or taken back once."""
    wire = Tripwire()
    _, cluster, memory = walked()
    run_through(cluster, Database(cluster), memory, wire, good)
    for at in range(len(wire.names)):
        for again in (None, 3, 9):
            _, cluster, memory = walked()
            database = Database(cluster)
            with pytest.raises(Died):
                run_through(cluster, database, memory, Tripwire(at), good)
            cluster.clock.advance(100)
            if again is not None:
                try:
                    engine(cluster, database, memory, good=good, identity="two", tripwire=Tripwire(again)).recover()
                except Died:
                    pass
            done = finished(cluster, database, memory)
            right(database, done, (wire.names[at], again))
            assert done is None or done.state in ("undone", "committed"), (wire.names[at], again)


@pytest.mark.parametrize("good", [True, False])
def test_every_answer_at_every_command(good):
    """All ways to place two answers among the commands, forward and back."""
    words = ("lost_before", "lost_after", "stored_500", "throttled", "invalid")
    for faults in placements(2 if good else 3, words):
        _, cluster, memory = walked()
        database = Database(cluster)
        cluster.faults = list(faults)
        run_through(cluster, database, memory, lambda name: None, good)
        done = finished(cluster, database, memory)
        right(database, done, faults)
        if "invalid" not in faults:
            assert done is not None
            assert done.state == ("committed" if good else "undone"), faults


def test_two_recoverers_do_not_both_compensate():
    for step in ("undo:0:before", "undo:0:after", "journal:undo_intended:0:after"):
        clock, cluster, memory = walked()
        database = Database(cluster)
        made = engine(cluster, database, memory)
        made.begin("i", "t1", (granting(),), "shop")
        clock.advance(100)

        def trip(name, step=step, clock=clock, cluster=cluster, database=database, memory=memory):
            if name == step:
                clock.advance(100)
                engine(cluster, database, memory, identity="three").recover()

        engine(cluster, database, memory, identity="two", tripwire=trip).recover()
        right(database, finished(cluster, database, memory), step)


# ── secrets ──

SECRET = "p@ss\"w'rd"


def with_secret(cluster, **more):
    cluster.put(obj("Secret", "login", data={"word": b64encode(SECRET.encode()).decode()}))
    stdin = {"stdin": "set '${{ Secret/login#word | sql }}' or \"${{ Secret/login#word | js }}\""}
    return granting(command={"argv": (*LIMIT, "grant", ROLE), **stdin}, **more)


def test_a_secret_is_put_in_when_it_is_sent_and_written_nowhere(cluster, database, journal):
    _, done = begin(cluster, database, journal, with_secret(cluster))
    assert done.state == "applied"
    assert "set 'p@ss\"w''rd' or \"p@ss\\\"w'rd\"" in database.sent
    text = json.dumps([e.body for e in journal.entries("t1")], default=str) + done.model_dump_json()
    assert "w'rd" not in text
    assert "Secret/login#word" in text


def test_a_secret_that_comes_back_is_written_as_its_reference(cluster, database, journal):
    database.broken = {"grant"}
    cluster.put(obj("Secret", "login", data={"word": b64encode(b"s3cr3t").decode()}))
    one = granting(command={"argv": (*LIMIT, "grant", ROLE), "stdin": "${{ Secret/login#word | word }}"})
    _, done = begin(cluster, database, journal, one)
    assert "s3cr3t" not in done.writes[0].error
    assert "${{ Secret/login#word | raw }}" in done.writes[0].error


@pytest.mark.parametrize(
    "what",
    ["Secret/none#word", "Secret/login#other", "Secret/LOGIN#word", "Node/x#y", "Deployment/db#db/PASSWORD"],
)
def test_a_secret_that_is_not_there_sends_nothing(cluster, database, journal, what):
    cluster.put(obj("Secret", "login", data={"word": b64encode(b"x").decode()}))
    one = granting(command={"argv": (*LIMIT, "grant", ROLE), "stdin": f"${{{{ {what} | js }}}}"})
    _, done = begin(cluster, database, journal, one)
    assert done.state == "undone"
    assert database.ran == []


def test_a_password_within_a_variable(cluster, database, journal):
    env = [{"name": "DSN", "value": "postgres://app:s%40id@db/shop"}]
    spec = {"template": {"spec": {"containers": [{"name": "web", "image": "w:1", "env": env}]}}}
    cluster.put(obj("StatefulSet", "client", spec=spec))
    stdin = "${{ StatefulSet/client#web/DSN!password | sql }}"
    begin(cluster, database, journal, granting(command={"argv": (*LIMIT, "grant", ROLE), "stdin": stdin}))
    assert "s@id" in database.sent


def test_the_compensation_may_use_what_was_there_before(cluster, database, journal):
    database.roles = ["read", "list"]
    back = {"argv": (*LIMIT, "revoke", ROLE), "stdin": "${{ state:2 | word }} ${{ state | word }}"}
    made, _ = begin(cluster, database, journal, granting(compensation=back))
    made.undo("t1", "x")
    assert "role:\\x20list role:\\x20read\\x0a" not in database.sent
    assert any(text.startswith("role:\\x20list ") for text in database.sent) is False
    assert made.show("t1").state == "undo_incomplete", "two lines are no word"
    only = {"argv": (*LIMIT, "revoke", ROLE), "stdin": "was ${{ state:2 | word }}"}
    made.begin("i", "t2", (granting("other", compensation={**only, "argv": (*LIMIT, "revoke", "other")}),), "shop")
    assert made.undo("t2", "x").state == "undone"
    assert "was role:\\x20list" in database.sent


# ── what is shown ──


def test_the_cost_says_what_is_run_where():
    text = cost_of_plan((granting(),), lambda _: None).text()
    assert text == "runs the compensation in container db of a pod of shop/Deployment/db, loses nothing"


@pytest.mark.parametrize(
    ("before", "after", "now", "left"),
    [
        ("a\n", "a\nb\n", "a\n", ()),
        ("a\n", "a\nb\n", "a\nb\n", ("still there: b",)),
        ("a\n", "b\n", "b\n", ("still there: b", "not back: a")),
        ("a\n", "a\nb\n", "c\na\n", ()),
        ("a\n", "a\nb\n", "\n b \na", ("still there: b",)),
        ("a\na\n", "a\n", "a\n", ("not back: a",)),
        ("a\n", None, "a\n", ()),
        ("a\n", None, "a\nb\n", ("still there: b",)),
    ],
)
def test_what_is_left_of_a_change(before, after, now, left):
    then = None if after is None else state(after)
    assert left_over(state(before), then, state(now)) == left


def test_hidden_states_are_compared_and_not_shown():
    before, after = {**state("hash1\n"), "hidden": True}, {**state("hash2\n"), "hidden": True}
    assert output_changes(before, after) == ["what is kept back has changed"]
    assert left_over(before, after, after) == ("what is kept back differs",)
    assert left_over(before, after, before) == ()
    assert output_changes(state("a\nb\n"), state("b\nc\n")) == ["- a", "+ c"]
    assert same(state("a\nb"), state("b\n a\n"))
    assert not same(state("a\na"), state("a"))


def test_redaction_takes_the_longest_first_and_leaves_the_shortest():
    secrets = {"pass": "<1>", "password": "<2>", "ab": "<3>"}
    assert redacted("password pass ab", secrets) == "<2> <1> ab"


def test_a_journal_from_before_there_were_such_changes_is_read(cluster, tmp_path):
    _, cluster, journal = fresh(tmp_path)
    with journal:
        cluster.put(obj("ConfigMap", "conf", data={"mode": "slow"}))
        old = rehearsed(cluster, set_data("conf", mode="fast"))
        body = {k: v for k, v in old.model_dump(mode="json").items() if k != "compensable"}
        assert PlannedWrite.model_validate(body) == old
        engine_on(cluster, journal).begin("i", "t1", (old,), "shop")
        assert engine_on(cluster, journal).show("t1").writes[0].compensable is None


def test_nothing_of_it_needs_a_disk():
    _, cluster, _ = walked()
    assert begin(cluster, Database(cluster), MemoryJournal())[1].state == "applied"
