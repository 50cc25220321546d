"""How much history is kept: what is kept stays exact, what is gone is said to be gone, on every engine."""

from __future__ import annotations

import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldstone.errors import DamagedHistoryError, HistoryTrimmedError, NoSuchRevisionError
from fieldstone.store import DELETED, NO_GRADE, Grade, Store, retention
from fieldstone.store.engines.history import Span
from fieldstone.store.engines.walk import Part
from fieldstone.store.models import StudentModule, StudentModuleHistory
from fieldstone.store.retention import Limits, Trimmed, Trimming
from fieldstone.store.routing import Home
from fieldstone.store.tables import HISTORY, SNAPSHOT_EVERY
from fieldstone.store.verify import Verification
from fieldstone.testing.faults import at_statement
from tests.conftest import each_engine, usage

A, B = usage("a"), usage("b")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def day(number):
    return NEW_YEAR + timedelta(days=number)


@pytest.fixture
def daily(alias, store):
    """A store whose saves are a day apart: revision n of the only row saved is of day n."""
    days = itertools.count(1)
    return Store(alias, clock=lambda: day(next(days)))


def trim(alias, *, revisions=None, days=None, now=None, batch=300, dry_run=False):
    walk = Trimming(Home(alias, alias), Limits(revisions, days), now or day(0), batch)
    return sum(walk.batches(dry_run=dry_run), Trimmed())


def numbers(alias, **filters):
    rows = (
        StudentModuleHistory.objects.using(alias).filter(**filters).order_by("student_id", "usage_id", "revision")
    )
    return list(rows.values_list("revision", flat=True))


def findings(alias, batch=1000):
    return [finding.what for found in Verification(alias, Part(), batch).batches() for finding in found]


def run(alias, *arguments):
    """Exit status, output and errors of the command."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("fieldstone_trim_history", "--using", alias, *arguments, stdout=out, stderr=err)
    except SystemExit as exit:
        return exit.code, out.getvalue(), err.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), err.getvalue()


# What is kept


@pytest.mark.parametrize(
    ("revisions", "days", "oldest"),
    [
        (1, None, 10),
        (3, None, 8),
        (10, None, 1),
        (11, None, 1),
        (None, 0, 10),
        (None, 3, 7),
        (None, 1000, 1),
        (2, 3, 7),  # the days keep more
        (6, 3, 5),  # the revisions keep more
    ],
)
@each_engine
def test_a_revision_is_kept_when_either_limit_keeps_it(daily, learner, alias, revisions, days, oldest):
    for number in range(1, 11):
        daily.save(learner, {A: {"x": number}})
    trim(alias, revisions=revisions, days=days, now=day(10))
    assert numbers(alias) == list(range(oldest, 11))


@each_engine
def test_the_state_as_of_any_moment_of_the_days_kept_is_known(daily, learner, alias):
    """So the last revision before them is kept as well."""
    for number in range(1, 6):
        daily.save(learner, {A: {"x": number}})
    trim(alias, days=2, now=day(6) - timedelta(hours=1))
    assert numbers(alias) == [3, 4, 5]
    assert dict(daily.at(learner, A, moment=day(4) - timedelta(hours=1)).fields) == {"x": 3}
    assert dict(daily.at(learner, A, moment=day(3)).fields) == {"x": 3}


@each_engine
@pytest.mark.parametrize("limits", [{"revisions": 1}, {"days": 0}, {"days": 5, "revisions": 1}])
def test_the_latest_revision_is_never_deleted(daily, learner, alias, limits):
    for number in range(3):
        daily.save(learner, {A: {"x": number}})
    for _ in range(2):
        trim(alias, now=day(10_000), **limits)
        assert numbers(alias) == [3]
    assert dict(daily.at(learner, A, revision=3).fields) == dict(daily.read(learner, [A])[A].fields)
    daily.save(learner, {A: {"y": 1}})
    assert dict(daily.at(learner, A, revision=4).fields) == {"x": 2, "y": 1}


@pytest.mark.parametrize(
    ("revisions", "days", "message"),
    [(None, None, "All history"), (0, None, "At least 1"), (None, -1, "0 or more")],
)
def test_limits_that_are_none(revisions, days, message):
    with pytest.raises(ValueError, match=message):
        Limits(revisions, days)


def test_a_row_younger_than_the_days_is_kept_whole():
    assert Limits(None, 5).oldest_kept(Span(1, 1, oldest=4, latest=9, then=None)) == 4


# Asking for what is gone


@each_engine
def test_older_than_what_is_kept_is_an_error_that_names_the_oldest(daily, learner, alias):
    for number in range(1, 8):
        daily.save(learner, {A: {"x": number}})
    trim(alias, revisions=3)
    for arguments in ({"revision": 4}, {"revision": 1}, {"moment": day(5) - timedelta(microseconds=1)}):
        with pytest.raises(HistoryTrimmedError, match="oldest that is kept is revision 5") as caught:
            daily.at(learner, A, **arguments)
        error = caught.value
        assert (error.usage_key, error.asked, error.oldest) == (A, next(iter(arguments.values())), 5)
    with pytest.raises(HistoryTrimmedError):
        daily.restore(learner, A, revision=4)
    for never in (0, -1, 8):
        with pytest.raises(NoSuchRevisionError):
            daily.at(learner, A, revision=never)
    assert dict(daily.at(learner, A, moment=day(5)).fields) == {"x": 5}
    assert daily.read(learner, [A])[A].revision == 7


@each_engine
def test_a_history_that_lost_its_beginning_is_damaged_and_not_trimmed(daily, learner, alias):
    for number in range(1, 8):
        daily.save(learner, {A: {"x": number}})
    StudentModuleHistory.objects.using(alias).filter(revision__lt=4).delete()
    for arguments in ({"revision": 2}, {"revision": 6}, {"moment": day(2)}, {"moment": day(6)}):
        with pytest.raises(DamagedHistoryError, match="fieldstone_verify"):
            daily.at(learner, A, **arguments)
    assert findings(alias) == ["the history begins at revision 4, not at 1"]


@each_engine
def test_earlier_grades_stay_with_their_revisions(daily, learner, alias):
    for grade in (Grade(1, 4), Grade(2, 4), NO_GRADE, Grade(3, 4)):
        daily.save(learner, {A: {"x": 1}}, grades={A: grade})
    trim(alias, revisions=3)
    grades = [daily.at(learner, A, revision=number) for number in (2, 3, 4)]
    assert [(state.grade, state.max_grade) for state in grades] == [(2, 4), (None, None), (3, 4)]


@each_engine
def test_a_token_is_good_as_long_as_its_revision_is_kept(daily, learner, alias):
    tokens = [uuid4() for _ in range(3)]
    for token in tokens:
        daily.save(learner, {A: {"x": 1}}, token=token)
    trim(alias, revisions=2)
    assert [daily.save(learner, {A: {"x": 1}}, token=token).repeated for token in tokens] == [False, True, True]


@each_engine
def test_other_rows_keep_theirs(daily, alias):
    for number in range(1, 5):
        daily.save(1, {A: {"x": number}})
    daily.save(1, {B: {"x": 1}})
    daily.save(2, {A: {"x": 1}})
    assert trim(alias, revisions=2, batch=1).shortened == 1
    assert numbers(alias) == [3, 4, 1, 1]
    assert dict(daily.at(2, A, revision=1).fields) == {"x": 1}


# Agreement


@each_engine
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    saves=st.lists(
        st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9) | st.just(DELETED), min_size=1), max_size=12
    ),
    trims=st.dictionaries(st.integers(1, 12), st.integers(1, 4)),
)
def test_every_revision_kept_is_what_a_dict_was(store, alias, saves, trims):
    with transaction.atomic(alias):
        states, oldest = [{}], 1
        for number, changes in enumerate(saves, 1):
            store.save(1, {A: changes})
            states.append({n: v for n, v in (states[-1] | changes).items() if v is not DELETED})
            if number in trims:
                trim(alias, revisions=trims[number])
                oldest = max(oldest, number - trims[number] + 1)
        assert [revision.number for revision in store.history(1, A)] == list(range(len(saves), oldest - 1, -1))
        for number in range(1, len(states)):
            if number >= oldest:
                assert dict(store.at(1, A, revision=number).fields) == states[number]
            else:
                with pytest.raises(HistoryTrimmedError):
                    store.at(1, A, revision=number)
        assert findings(alias, 2) == []
        transaction.set_rollback(True, using=alias)


@each_engine
def test_a_trimmed_history_agrees_with_its_state_and_damage_in_it_is_found(daily, learner, alias):
    daily.save(learner, {A: {"early": 1}})
    for number in range(2, SNAPSHOT_EVERY + 9):
        daily.save(learner, {A: {"x": number}})
    for revisions in (20, 5):
        trim(alias, revisions=revisions)
        assert findings(alias) == []
    rows = StudentModuleHistory.objects.using(alias)
    first = SNAPSHOT_EVERY + 4
    assert numbers(alias)[0] == first
    rows.filter(revision=first).update(snapshot='{"x": "1"}')
    assert findings(alias) == ["the state differs from its replay in field 'early'"]
    rows.filter(revision=first).update(snapshot=None)
    assert findings(alias) == [f"the history begins at revision {first}, not at 1"]


@each_engine
def test_what_cannot_be_rebuilt_is_left_as_it_is_and_reported(daily, alias):
    for learner, number in itertools.product((1, 2), range(1, 8)):
        daily.save(learner, {A: {"x": number}})
    StudentModuleHistory.objects.using(alias).filter(student_id=1, revision=3).delete()
    assert run(alias, "--revisions", "3") == (
        1,
        f"learner 1, {A}: not trimmed to revision 5: the state as of it cannot be rebuilt\n"
        "4 revisions of 1 states deleted\n",
        "",
    )
    assert numbers(alias) == [1, 2, 4, 5, 6, 7, 5, 6, 7]


# Running


@each_engine
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_long_history_is_cut_in_short_transactions(daily, learner, alias, monkeypatch, step):
    monkeypatch.setattr(retention, "REVISIONS_TO_A_TRANSACTION", step)
    for number in range(1, 13):
        daily.save(learner, {A: {"x": number}, B: {"x": number}})
    with CaptureQueriesContext(connections[alias]) as queries:
        done = trim(alias, revisions=2)
    assert (done.revisions, done.shortened, done.left) == (20, 2, [])
    assert numbers(alias) == [11, 12, 11, 12]
    assert dict(daily.at(learner, A, revision=11).fields) == {"x": 11}
    deletes = [query["sql"] for query in queries if "DELETE" in query["sql"]]
    assert len(deletes) == 2 * -(-10 // step)


@each_engine
def test_a_trimming_that_is_stopped_half_way_leaves_nothing_wrong(daily, alias):
    for learner, number in itertools.product((1, 2, 3), range(1, 6)):
        daily.save(learner, {A: {"x": number}})
    batches = Trimming(Home(alias, alias), Limits(2, None), day(0), 1).batches()
    next(batches)
    assert numbers(alias) == [4, 5, *range(1, 6), *range(1, 6)]
    assert findings(alias) == []
    trim(alias, revisions=2)
    assert numbers(alias) == [4, 5] * 3


@each_engine
def test_several_trimmings_and_saves_at_once_agree(store, alias):
    for learner, number in itertools.product(range(1, 5), range(1, 31)):
        store.save(learner, {A: {"x": number, f"f{number % 7}": number}})

    def work(number):
        try:
            if number < 2:
                return trim(alias, revisions=5 + 5 * number, batch=2).left
            for value in range(30):
                Store(alias).save(number, {A: {"y": value}})
            return []
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(4))) == [[]] * 4
    assert findings(alias) == []
    trim(alias, revisions=5)
    for learner, latest in ((1, 30), (2, 60), (3, 60), (4, 30)):
        assert numbers(alias, student_id=learner) == list(range(latest - 4, latest + 1))
        state = store.read(learner, [A])[A]
        assert dict(store.at(learner, A, revision=latest).fields) == dict(state.fields)


@each_engine
def test_a_trimming_amid_a_verification_is_no_disagreement(store, alias):
    for learner, number in itertools.product((1, 2), range(1, 10)):
        store.save(learner, {A: {"x": number}})
    with at_statement(f"delta.* FROM {HISTORY}", lambda: trim(alias, revisions=3), when="after", using=alias):
        assert findings(alias, 2) == []
    assert numbers(alias) == [7, 8, 9] * 2


@each_engine
def test_queries_go_by_the_batch_where_nothing_is_deleted(store, alias):
    for learner in range(20):
        store.save(learner, {A: {"x": 1}})
    with CaptureQueriesContext(connections[alias]) as queries:
        assert trim(alias, revisions=1, batch=5).states == 20
    assert len(queries) == 20 // 5 + 1


# The command


@each_engine
def test_a_dry_run_counts_and_deletes_nothing(daily, learner, alias):
    for number in range(1, 8):
        daily.save(learner, {A: {"x": number}})
    before = list(StudentModuleHistory.objects.using(alias).order_by("revision").values())
    assert run(alias, "--revisions", "3", "--dry-run") == (0, "4 revisions of 1 states would be deleted\n", "")
    assert list(StudentModuleHistory.objects.using(alias).order_by("revision").values()) == before
    assert run(alias, "--revisions", "3") == (0, "4 revisions of 1 states deleted\n", "")
    assert run(alias, "--revisions", "3") == (0, "0 revisions of 0 states deleted\n", "")
    assert StudentModule.objects.using(alias).get().revision == 7


@each_engine
def test_the_settings_say_what_is_kept_and_options_stand_in_their_place(store, alias, settings):
    for number in range(1, 8):
        store.save(1, {A: {"x": number}})
    status, _, error = run(alias)
    assert (status, "HISTORY_DAYS" in error, "--days" in error) == (2, True, True)
    settings.FIELDSTONE = {"HISTORY_DAYS": 365}
    assert run(alias, "--dry-run")[1] == "0 revisions of 0 states would be deleted\n"
    settings.FIELDSTONE = {"HISTORY_DAYS": 0, "HISTORY_REVISIONS": 5}
    assert run(alias, "--dry-run")[1] == "2 revisions of 1 states would be deleted\n"
    assert run(alias, "--dry-run", "--days", "0")[1] == "6 revisions of 1 states would be deleted\n"
    assert run(alias, "--dry-run", "--revisions", "4")[1] == "3 revisions of 1 states would be deleted\n"
    assert run(alias, "--revisions", "0")[0] == 2


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ("fieldstone_trim_history", "manage.py fieldstone_trim_history --days 365 --revisions 20"),
        ("fieldstone_sweep_history", "manage.py fieldstone_sweep_history --using courseware"),
    ],
)
def test_their_help_has_examples(command, example):
    said = load_command_class("fieldstone.store", command).create_parser("manage.py", command).format_help()
    assert f"\n  {example}\n" in said
    assert "exit status: 0" in said
