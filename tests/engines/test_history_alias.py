"""History on another database alias: moved exactly once, whatever crashes, and read from both places."""

from __future__ import annotations

import io
import itertools
import json
import logging
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import Error, connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldstone.errors import HistoryTrimmedError, NoSuchRevisionError, SameHistoryTableError
from fieldstone.store import DELETED, Grade, Store, outbox
from fieldstone.store.engines.walk import Part
from fieldstone.store.models import StudentModule, StudentModuleHistory
from fieldstone.store.outbox import sweep
from fieldstone.store.parts import part_of
from fieldstone.store.retention import Limits, Trimming
from fieldstone.store.routing import Home
from fieldstone.store.tables import HISTORY, SNAPSHOT_EVERY
from fieldstone.store.usages import forget_all
from fieldstone.store.verify import Verification
from tests.conftest import COURSE, usage
from tests.engines.routers import Divided, each_engine_with_two_databases, refusing, run_all, without_history_table

A, B = usage("a"), usage("b")
TOKEN = uuid4()
TOKEN_LOOK = "AND token ="
SWEEPER = Path(__file__).with_name("sweeper.py")


@pytest.fixture
def home(alias, settings, monkeypatch):
    """The routers send history to a database of its own."""
    home = Home(alias, f"{alias}_history")
    settings.DATABASE_ROUTERS = [Divided(home)]
    monkeypatch.setattr(outbox, "_pause", outbox._Pause())
    return home


@pytest.fixture
def paused(home):
    """No save moves its history."""
    outbox._pause.begin(home)


def numbers(alias):
    rows = StudentModuleHistory.objects.using(alias).order_by("student_id", "usage_id", "revision")
    return list(rows.values_list("revision", flat=True))


def swept(home, batch=outbox.BATCH):
    moves = list(sweep(home, batch))
    assert not any(move.clashes for move in moves)
    return sum(move.revisions for move in moves)


def findings(home, part=None, batch=1000):
    return [finding for found in Verification(home.states, part or Part(), batch).batches() for finding in found]


def run(command, home, *arguments):
    """Exit status, output and errors of a command."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(command, "--using", home.states, *arguments, stdout=out, stderr=err)
    except SystemExit as exit:
        return exit.code, out.getvalue(), err.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), err.getvalue()


# Moving


@each_engine_with_two_databases
def test_history_is_moved_when_the_save_is_committed(store, home, learner):
    store.save(learner, {A: {"x": 1}, B: {"y": 1}})
    store.save(learner, {A: {"x": 2}}, origin="test", actor=77)
    assert (numbers(home.states), numbers(home.history)) == ([], [1, 2, 1])
    latest = store.history(learner, A)[0]
    assert (latest.number, latest.changes, latest.origin, latest.actor_id) == (2, {"x": 2}, "test", 77)
    assert [revision.number for revision in store.history(learner, B)] == [1]
    assert dict(store.at(learner, A, revision=1).fields) == {"x": 1}
    assert findings(home) == []


@each_engine_with_two_databases
def test_a_moved_revision_is_what_it_was(store, home, learner, paused):
    """Every column, a snapshot and a grade among them."""
    for number in range(SNAPSHOT_EVERY + 1):
        changes = {A: {"x": number, "é": "\x00\ud800"}}
        store.save(learner, changes, grades={A: Grade(0.1, 3)}, token=uuid4(), origin="é", actor=7)
    before = list(StudentModuleHistory.objects.using(home.states).order_by("revision").values())
    assert len(before) == SNAPSHOT_EVERY + 1
    assert swept(home, 7) == len(before)
    assert list(StudentModuleHistory.objects.using(home.history).order_by("revision").values()) == before
    assert numbers(home.states) == []


@each_engine_with_two_databases
def test_nothing_is_moved_before_the_commit_nor_after_a_rollback(store, home, learner):
    with transaction.atomic(home.states):
        store.save(learner, {A: {"x": 1}})
        assert (numbers(home.states), numbers(home.history)) == ([1], [])
        assert len(store.history(learner, A)) == 1
        with pytest.raises(RuntimeError, match="durable"):
            swept(home)
        transaction.set_rollback(True, using=home.states)
    assert (numbers(home.states), numbers(home.history)) == ([], [])


@each_engine_with_two_databases
def test_a_save_in_a_transaction_of_the_histories_database_is_moved_with_its_end(store, home, learner):
    """A copy that may yet be rolled back is no copy."""
    with pytest.raises(ZeroDivisionError), transaction.atomic(home.history):
        store.save(learner, {A: {"x": 1}})
        assert numbers(home.states) == [1]
        raise ZeroDivisionError
    assert (numbers(home.states), numbers(home.history)) == ([1], [])
    with transaction.atomic(home.history):
        store.save(learner, {A: {"x": 2}})
        assert (numbers(home.states), numbers(home.history)) == ([1, 2], [])
        with pytest.raises(RuntimeError, match="durable"):
            swept(home)
    assert (numbers(home.states), numbers(home.history)) == ([], [1, 2])


@each_engine_with_two_databases
def test_without_a_router_history_stays_beside_its_states(store, alias, learner):
    store.save(learner, {A: {"x": 1}})
    assert (numbers(alias), numbers(f"{alias}_history")) == ([1], [])
    status, out, _ = run("fieldstone_sweep_history", Home(alias, alias))
    assert (status, "nothing to move" in out) == (0, True)


# Crashes and outages


@each_engine_with_two_databases
def test_an_outage_of_the_history_leaves_the_save_and_says_what_to_do(store, home, learner, caplog):
    with refusing(home.history, "INSERT"), caplog.at_level(logging.ERROR, "fieldstone.store"):
        receipt = store.save(learner, {A: {"x": 1}})
        assert dict(receipt.states[A].fields) == {"x": 1}
        assert (numbers(home.states), numbers(home.history)) == ([1], [])
        assert "fieldstone_sweep_history" in caplog.text and "refused" in caplog.text
        with CaptureQueriesContext(connections[home.history]) as queries:
            store.save(learner, {A: {"x": 2}})
        assert len(queries) == 0, "each try may cost a timeout"
        status, _, error = run("fieldstone_sweep_history", home)
        assert (status, "0 revisions moved" in error, "refused" in error) == (1, True, True)
    assert [revision.number for revision in store.history(learner, A)] == [2, 1]
    assert run("fieldstone_sweep_history", home)[:2] == (
        0,
        f"2 revisions moved from '{home.states}' to '{home.history}'\n",
    )
    assert (numbers(home.states), numbers(home.history)) == ([], [1, 2])


@each_engine_with_two_databases
def test_what_waits_is_moved_by_the_learners_next_save_once_the_pause_is_over(store, home, learner, monkeypatch):
    now = 0.0
    monkeypatch.setattr(outbox, "_pause", outbox._Pause(clock=lambda: now))
    with refusing(home.history, "INSERT"):
        store.save(learner, {A: {"x": 1}})
    now = outbox.SECONDS_OF_PAUSE - 1
    store.save(learner, {A: {"x": 2}})
    assert numbers(home.history) == []
    now = outbox.SECONDS_OF_PAUSE + 1
    store.save(learner, {B: {"x": 1}})
    assert numbers(home.history) == [1, 2, 1]


@each_engine_with_two_databases
def test_a_crash_between_copy_and_delete_leaves_each_revision_once_to_the_reader(store, home, learner):
    with refusing(home.states, "DELETE"):
        for number in range(5):
            outbox._pause.until.clear()
            store.save(learner, {A: {"x": number}})
        assert numbers(home.states) == [1, 2, 3, 4, 5]
        assert numbers(home.history) == [1, 2, 3, 4, 5], "copied, and not deleted"
        assert [revision.number for revision in store.history(learner, A)] == [5, 4, 3, 2, 1]
        assert dict(store.at(learner, A, revision=3).fields) == {"x": 2}
        verification = Verification(home.states, Part(), 2)
        assert [finding for found in verification.batches() for finding in found] == []
        assert verification.revisions == 5
    assert swept(home) == 5
    assert (numbers(home.states), numbers(home.history)) == ([], [1, 2, 3, 4, 5])


def databases_of(home):
    for_process = {
        name: {key: value for key, value in connections[alias].settings_dict.items() if key != "TEST"}
        for name, alias in zip(("states", "history"), home, strict=True)
    }
    return json.dumps({**for_process, "default": for_process["states"]}, default=str)


@each_engine_with_two_databases
def test_a_sweep_that_is_killed_loses_nothing_and_doubles_nothing(store, home, learner, paused):
    for number in range(8):
        store.save(learner, {A: {"x": number}})
    done = subprocess.run([sys.executable, "-W", "ignore", SWEEPER, databases_of(home)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (numbers(home.states), numbers(home.history)) == ([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3])
    assert [revision.number for revision in store.history(learner, A)] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert swept(home) == 8
    assert (numbers(home.states), numbers(home.history)) == ([], [1, 2, 3, 4, 5, 6, 7, 8])
    assert findings(home) == []


@each_engine_with_two_databases
def test_several_sweeps_and_saves_at_once_move_each_revision_once(store, home, paused):
    learners, saves = 6, 25
    for learner, number in itertools.product(range(1, learners + 1), range(saves)):
        store.save(learner, {A: {"x": number}})

    def work(number):
        try:
            if number < 2:
                return swept(home, 7)
            outbox._pause.until.clear()
            for _ in range(saves):
                Store(home.states).save(number, {A: {"y": 1}})
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    swept(home)
    assert numbers(home.states) == []
    more = {2: saves, 3: saves}
    expected = [n for learner in range(1, learners + 1) for n in range(1, saves + more.get(learner, 0) + 1)]
    assert numbers(home.history) == expected
    assert findings(home) == []


@each_engine_with_two_databases
def test_another_save_under_the_same_key_is_neither_overwritten_nor_lost(store, home, learner, caplog):
    """As when two stores are given one database of history."""
    store.save(learner, {A: {"x": 1}})
    run_all(home.states, [f"DELETE FROM {name}" for name in (HISTORY, "fieldstone_student_module")])
    outbox._pause.begin(home)
    store.save(learner, {A: {"x": "other"}, B: {"x": 1}})
    status, out, err = run("fieldstone_sweep_history", home)
    assert (status, "revision 1 is another save's" in out, "Give each its own" in err) == (1, True, True)
    assert (numbers(home.states), numbers(home.history)) == ([1], [1, 1])
    with caplog.at_level(logging.ERROR, "fieldstone.store"):
        store.save(learner, {B: {"x": 2}})
    assert "Have two stores been given one database of history?" in caplog.text
    deltas = StudentModuleHistory.objects.using(home.history).filter(revision=1).values_list("delta", flat=True)
    assert "other" not in "".join(deltas)


@each_engine_with_two_databases
def test_two_names_of_one_database_are_noticed_before_anything_is_deleted(store, home, caplog):
    again = connections[home.history]
    again.close()
    own, again.settings_dict["NAME"] = again.settings_dict["NAME"], connections[home.states].settings_dict["NAME"]
    try:
        store.save(1, {A: {"x": 1}})
        assert "are one" in caplog.text
        with pytest.raises(SameHistoryTableError):
            swept(home)
        for command in ("fieldstone_sweep_history", "fieldstone_trim_history"):
            arguments = ["--days", "0"] if "trim" in command else []
            status, _, error = run(command, home, *arguments)
            assert (status, "a database of its own" in error) == (2, True)
        assert len(store.history(1, A)) == 1
        assert numbers(home.states) == [1]
    finally:
        again.close()
        again.settings_dict["NAME"] = own


# Reading what has been moved


@each_engine_with_two_databases
@pytest.mark.parametrize("moved_to", [0, 1, 49, 50, 51, 60])
def test_a_state_is_rebuilt_from_both_places(store, home, learner, paused, moved_to):
    for number in range(1, 61):
        store.save(learner, {A: {"x": number, f"f{number % 7}": number}})
        if number == moved_to:
            swept(home)
            outbox._pause.begin(home)
    model = {}
    for number in range(1, 61):
        model |= {"x": number, f"f{number % 7}": number}
        assert dict(store.at(learner, A, revision=number).fields) == model
    assert len(numbers(home.states)) == 60 - moved_to


@each_engine_with_two_databases
def test_history_of_a_block_that_the_process_has_not_met(store, home, learner):
    store.save(learner, {A: {"x": 1}})
    forget_all()
    with CaptureQueriesContext(connections[home.states]) as queries:
        assert len(store.history(learner, A)) == 1
        assert len(store.history(learner, A)) == 1
    assert len(queries) == 3, "its id is asked for once"
    with pytest.raises(NoSuchRevisionError):
        store.at(learner, usage("never"), revision=1)
    assert store.history(learner, usage("never")) == []


@each_engine_with_two_databases
def test_restoring_a_moved_revision(store, home, learner):
    store.save(learner, {A: {"x": 1, "gone": 1}}, grades={A: Grade(1, 2)})
    store.save(learner, {A: {"x": 2, "gone": DELETED}}, grades={A: Grade(2, 2)})
    receipt = store.restore(learner, A, revision=1)
    assert (dict(receipt.states[A].fields), receipt.states[A].grade) == ({"x": 1, "gone": 1}, 1)
    assert numbers(home.history) == [1, 2, 3]


@each_engine_with_two_databases
def test_a_save_is_written_once_although_its_token_has_been_moved(store, home, learner):
    token = uuid4()
    store.save(learner, {A: {"x": 1}, B: {"x": 1}}, token=token)
    store.save(learner, {A: {"x": 2}})
    assert numbers(home.states) == []
    again = store.save(learner, {A: {"x": 1}, B: {"x": 1}}, token=token)
    assert (again.repeated, dict(again.states[A].fields)) == (True, {"x": 2})
    assert not store.save(learner, {A: {"x": 3}}, token=uuid4()).repeated
    assert numbers(home.history) == [1, 2, 3, 1]


@each_engine_with_two_databases
def test_a_token_that_cannot_be_looked_up_is_no_save(store, home, learner):
    token = uuid4()
    store.save(learner, {A: {"x": 1}}, token=token)
    with without_history_table(home.history), pytest.raises(Error):
        store.save(learner, {A: {"x": 1}}, token=token)
    assert StudentModule.objects.using(home.states).get().revision == 1
    assert store.save(learner, {A: {"x": 1}}, token=token).repeated


@each_engine_with_two_databases
@pytest.mark.parametrize(
    "look",
    [
        lambda store: [revision.number for revision in store.history(1, A)] == [3, 2, 1],
        lambda store: dict(store.at(1, A, revision=2).fields) == {"x": 1},
        lambda store: store.save(1, {A: {"x": 1}}, token=TOKEN).repeated,
        lambda store: findings(Home(store.using, f"{store.using}_history")) == [],
    ],
    ids=["history", "at", "token", "verify"],
)
def test_what_is_moved_between_two_looks_is_not_missed(store, home, paused, look):
    for number in range(3):
        store.save(1, {A: {"x": number}}, token=TOKEN if number == 1 else None)

    def move():
        """By another connection, as another process would."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: (swept(home), connections.close_all())).result()

    looks = []

    def wrapper(execute, sql, parameters, many, context):
        result = execute(sql, parameters, many, context)
        if f"FROM {HISTORY}" in sql and connections[home.states].vendor == "sqlite" and TOKEN_LOOK in sql:
            return result  # it is in the transaction of the save, which keeps others from moving
        if f"FROM {HISTORY}" in sql and not looks:
            looks.append(sql)
            move()
        return result

    with connections[home.states].execute_wrapper(wrapper), connections[home.history].execute_wrapper(wrapper):
        assert look(store)


# Verifying


@each_engine_with_two_databases
@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_a_verification_reads_both_places(store, home, batch):
    for learner, number in itertools.product((1, 2, 3), range(7)):
        store.save(learner, {A: {"x": number}, B: {"x": 1}})
        if number == 3:
            outbox._pause.begin(home)
            store.save(learner, {A: {"y": number}})
    swept(home)
    outbox._pause.begin(home)
    for learner in (1, 3):
        store.save(learner, {A: {"z": 1}})
    for part in (Part(), part_of(home.states, context=str(COURSE)), part_of(home.states, usage=str(A))):
        assert findings(home, part, batch) == []
    run_all(home.history, [f"DELETE FROM {HISTORY} WHERE student_id = 2 AND revision = 3"])
    expected = ["the history jumps from revision 2 to 4"] * 2
    assert [finding.what for finding in findings(home, None, batch)] == expected
    assert [f.what for f in findings(home, part_of(home.states, context=str(COURSE)), batch)] == expected
    assert [f.what for f in findings(home, part_of(home.states, usage=str(A)), batch)] == expected[:1]


@each_engine_with_two_databases
def test_a_sweep_or_a_trimming_amid_a_verification_is_no_disagreement(store, home, paused):
    for learner, number in itertools.product((1, 2, 3), range(9)):
        store.save(learner, {A: {"x": number}})
    verification = Verification(home.states, Part(), 2)
    work = itertools.chain(sweep(home, 4), Trimming(home, Limits(3, None), datetime.now(UTC), 1).batches())
    for found in verification.batches():
        assert found == []
        next(work, None)
    swept(home)


@each_engine_with_two_databases
def test_what_a_crash_leaves_in_the_outbox_amid_a_trimming_is_no_island_below_the_cut(store, home):
    for learner, number in itertools.product((1, 2), range(5)):
        store.save(learner, {A: {"x": number}})
    batches = Trimming(home, Limits(2, None), datetime.now(UTC), 1).batches()
    next(batches)
    for row in StudentModuleHistory.objects.using(home.history).filter(student_id=2):
        row.save(using=home.states, force_insert=True)  # copied, and not deleted
    assert sum(batch.shortened for batch in batches) == 1
    swept(home)
    assert (numbers(home.states), numbers(home.history)) == ([], [4, 5, 4, 5])
    assert findings(home) == []


# Any interleaving

_learners = itertools.count(1000)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
saves = st.tuples(
    st.just("save"),
    st.sampled_from([A, B]),
    st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9) | st.just(DELETED), min_size=1),
)
steps = st.lists(
    saves
    | st.tuples(st.just("trim"), st.none() | st.integers(1, 5), st.none() | st.integers(0, 20))
    | st.tuples(st.just("sweep"))
    | st.tuples(st.just("outage")),
    max_size=25,
)


@each_engine_with_two_databases
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(steps=steps)
def test_every_kept_revision_is_what_it_was_and_the_others_are_said_to_be_trimmed(home, steps):
    """A revision is a day, so that its age and its moment are known."""
    learner, day = next(_learners), 0
    models = {A: [{}], B: [{}]}
    days = {A: [0], B: [0]}
    oldest = {A: 1, B: 1}
    for name, *arguments in steps:
        if name == "save":
            place, changes = arguments
            day += 1
            now = NEW_YEAR + timedelta(days=day)
            Store(home.states, clock=lambda now=now: now).save(learner, {place: changes})
            merged = {n: value for n, value in (models[place][-1] | changes).items() if value is not DELETED}
            models[place].append(merged)
            days[place].append(day)
        elif name == "trim" and arguments != [None, None]:
            limits = Limits(*arguments)
            for _ in Trimming(home, limits, NEW_YEAR + timedelta(days=day), 1).batches():
                pass
            for place, states in models.items():
                oldest[place] = max(oldest[place], kept_from(days[place], len(states) - 1, day, *arguments))
        elif name == "sweep":
            swept(home, 2)
        elif name == "outage":
            outbox._pause.begin(home)
    store = Store(home.states)
    for place, states in models.items():
        kept = list(range(oldest[place], len(states)))
        assert [revision.number for revision in store.history(learner, place)] == kept[::-1]
        for number in range(1, len(states)):
            moment = NEW_YEAR + timedelta(days=days[place][number], hours=1)
            if number in kept:
                assert dict(store.at(learner, place, revision=number).fields) == states[number]
                assert dict(store.at(learner, place, moment=moment).fields) == states[number]
            else:
                with pytest.raises(HistoryTrimmedError) as caught:
                    store.at(learner, place, revision=number)
                assert (caught.value.asked, caught.value.oldest) == (number, oldest[place])
                with pytest.raises(HistoryTrimmedError):
                    store.at(learner, place, moment=moment)
    assert findings(home, Part(learner_id=learner), 3) == []


def kept_from(days, latest, today, revisions, keep_days):
    """The oldest revision that is kept, by the words of the documentation."""
    numbers = range(1, latest + 1)
    kept = [n for n in numbers if revisions is not None and n > latest - revisions]
    if keep_days is not None:
        kept += [n for n in numbers if days[n] > today - keep_days]
        kept += [n for n in numbers if days[n] <= today - keep_days][-1:]
    return min(kept, default=1)


@pytest.mark.skipif("postgresql" not in django_settings.DATABASES, reason="FIELDSTONE_POSTGRESQL_URL is not set")
@pytest.mark.django_db(transaction=True, databases=["default", "postgresql_history"])
def test_history_may_be_on_another_engine(settings):
    home = Home("default", "postgresql_history")
    settings.DATABASE_ROUTERS = [Divided(home)]
    token = uuid4()
    store = Store(clock=lambda: NEW_YEAR + timedelta(microseconds=123456))
    store.save(1, {A: {"x": "\x00\ud800", "é": 1.5}}, grades={A: Grade(0.1, 3)}, token=token)
    store.save(1, {A: {"x": DELETED}})
    assert (numbers(home.states), numbers(home.history)) == ([], [1, 2])
    state = store.at(1, A, revision=1)
    assert (dict(state.fields), state.grade) == ({"x": "\x00\ud800", "é": 1.5}, 0.1)
    assert state.modified == NEW_YEAR + timedelta(microseconds=123456)
    assert store.save(1, {A: {"x": 5}}, token=token).repeated
    assert findings(home) == []
