"""``manage.py fieldstone_verify``: clean after any saves, and every kind of damage is found, on every engine."""

from __future__ import annotations

import io
from importlib.util import find_spec

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import CourseLocator

from fieldstone.errors import NothingStoredError
from fieldstone.store import DELETED, Grade, Store
from fieldstone.store.engines.walk import Part
from fieldstone.store.management import progress
from fieldstone.store.parts import part_of
from fieldstone.store.tables import HISTORY, SNAPSHOT_EVERY, STATE, USAGE
from fieldstone.store.verify import Finding, Verification
from fieldstone.testing.faults import at_statement
from tests.conftest import COURSE, each_engine, usage
from tests.engines.plans import FULL_SCAN, plans
from tests.strategies import field_names, json_values

A, B, C = usage("a"), usage("b"), usage("c", "html")
ELSEWHERE = usage("a", course=CourseLocator("Org", "Other", "Run"))
LAST = SNAPSHOT_EVERY + 3


def findings(alias, batch=1000, part=None):
    found = Verification(alias, part or Part(), batch).batches()
    return [finding for batch in found for finding in batch]


def whats(alias, **options):
    return [finding.what for finding in findings(alias, **options)]


def damage(alias, sql, *parameters):
    if connections[alias].vendor == "mysql":
        sql = sql.replace("\\", "\\\\")  # within quotes, MariaDB's own escapes
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters)
        assert cursor.rowcount > 0, "nothing was damaged"


def run(alias, *arguments):
    """Exit status, output and errors of the command."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("fieldstone_verify", "--using", alias, *arguments, stdout=out, stderr=err)
    except SystemExit as exit:
        return exit.code, out.getvalue(), err.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), err.getvalue()


@pytest.fixture
def saved(store):
    """Two learners: one with a history that has a snapshot, both with a short one at another block."""
    for number in range(LAST):
        store.save(1, {A: {"x": number, f"f{number % 3}": str(number)}})
    for learner in (1, 2):
        store.save(learner, {B: {"x": 1, "y": None}}, grades={B: Grade(1, 2)})
        store.save(learner, {B: {"x": 1.0, "z": "\x00\ud800", "y": DELETED}})
    return store


# Nothing wrong


@each_engine
def test_an_empty_store_is_clean(store, alias):
    assert run(alias) == (0, "0 states and 0 revisions read: all agree\n", "")


@each_engine
def test_what_was_saved_is_clean(saved, alias):
    assert run(alias) == (0, f"3 states and {LAST + 4} revisions read: all agree\n", "")


@each_engine
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    saves=st.lists(
        st.tuples(
            st.sampled_from([1, 2, 3]),
            st.dictionaries(
                st.sampled_from([A, B, C, ELSEWHERE]),
                st.dictionaries(field_names, json_values | st.just(DELETED), min_size=1, max_size=3),
                min_size=1,
                max_size=3,
            ),
        ),
        max_size=12,
    ),
    batch=st.integers(1, 8),
)
def test_any_saves_are_clean(store, saves, batch):
    with transaction.atomic(store.using):
        for learner, changes in saves:
            store.save(learner, changes)
        verification = Verification(store.using, Part(), batch)
        assert [finding for found in verification.batches() for finding in found] == []
        assert verification.states == verification.total()
        assert verification.states == len({(learner, key) for learner, changes in saves for key in changes})
        assert verification.revisions == sum(len(changes) for _, changes in saves)
        transaction.set_rollback(True, using=store.using)


@each_engine
def test_a_restored_state_is_clean(saved, alias):
    saved.restore(1, A, revision=2)
    assert findings(alias) == []


# Each kind of damage. The row of learner 1 at A has a snapshot; that of learner 2 at B has two revisions.

OF_1_AT_A = f"student_id = 1 AND usage_id = (SELECT id FROM {USAGE} AS met WHERE met.key = '{A}')"
OF_2 = "student_id = 2"
SNAPSHOT = f"snapshot IS NOT NULL AND {OF_1_AT_A}"
BROKEN = ["", "{", '{"x":', "[]", "null", "1", '"x"', '{"x": 1}', '{"x": ["1"]}', '{"x": "{"}', "é"]

DAMAGES = {
    "a field of the state changed": (
        f"""UPDATE {STATE} SET fields = '{{"x": "2", "z": "\\"\\\\u0000\\\\ud800\\""}}' WHERE {OF_2}""",
        ["the state differs from its replay in field 'x'"],
    ),
    "an equal value of another type": (
        f"""UPDATE {STATE} SET fields = '{{"x": "1", "z": "\\"\\\\u0000\\\\ud800\\""}}' WHERE {OF_2}""",
        ["the state differs from its replay in field 'x'"],
    ),
    "fields gone and fields come": (
        f"""UPDATE {STATE} SET fields = '{{"x": "1.0", "new": "1"}}' WHERE {OF_2}""",
        ["the state differs from its replay in fields 'new', 'z'"],
    ),
    "all fields gone": (
        f"UPDATE {STATE} SET fields = '{{}}' WHERE {OF_2}",
        ["the state differs from its replay in fields 'x', 'z'"],
    ),
    "a delta changed": (
        f"""UPDATE {HISTORY} SET delta = '{{"x":"5","z":null}}' WHERE {OF_2} AND revision = 2""",
        ["the state differs from its replay in fields 'x', 'y', 'z'"],
    ),
    "the state's revision ahead": (
        f"UPDATE {STATE} SET revision = 7 WHERE {OF_2}",
        ["the history ends at revision 2, the state is at 7"],
    ),
    "the state's revision behind": (
        f"UPDATE {STATE} SET revision = 1 WHERE {OF_2}",
        [
            "the history goes on to revision 2, the state is at 1",
            "the state differs from its replay in fields 'x', 'y', 'z'",
        ],
    ),
    "the last revision gone": (
        f"DELETE FROM {HISTORY} WHERE {OF_2} AND revision = 2",
        ["the history ends at revision 1, the state is at 2"],
    ),
    "the first revision gone": (
        f"DELETE FROM {HISTORY} WHERE {OF_2} AND revision = 1",
        ["the history begins at revision 2, not at 1"],
    ),
    "a revision zero": (
        f"UPDATE {HISTORY} SET revision = 0 WHERE {OF_2} AND revision = 1",
        ["the history begins at revision 0, not at 1", "the history jumps from revision 0 to 2"],
    ),
    "revisions gone from the middle": (
        f"DELETE FROM {HISTORY} WHERE {OF_1_AT_A} AND revision IN (2, 3, 5)",
        ["the history jumps from revision 1 to 4", "the history jumps from revision 4 to 6"],
    ),
    "all history gone": (
        f"DELETE FROM {HISTORY} WHERE {OF_2}",
        ["the state is at revision 2 and has no history"],
    ),
    "the state gone": (
        f"DELETE FROM {STATE} WHERE {OF_2}",
        ["there is history, to revision 2, and no state"],
    ),
    "a snapshot changed": (
        f"""UPDATE {HISTORY} SET snapshot = '{{"x": "49", "f0": "\\"48\\"", "f1": "\\"4\\""}}' WHERE {SNAPSHOT}""",
        [f"the snapshot of revision {SNAPSHOT_EVERY} differs from the replay in fields 'f1', 'f2'"],
    ),
    "a delta before the snapshot changed": (
        f"""UPDATE {HISTORY} SET delta = '{{"more": "1"}}' WHERE {OF_1_AT_A} AND revision = 9""",
        [
            f"the snapshot of revision {SNAPSHOT_EVERY} differs from the replay in field 'more'",
            "the state differs from its replay in field 'more'",
        ],
    ),
    "a snapshot gone": (
        f"UPDATE {HISTORY} SET snapshot = NULL WHERE {SNAPSHOT}",
        [f"revision {SNAPSHOT_EVERY} has no snapshot"],
    ),
    "a grade changed": (
        f"UPDATE {STATE} SET grade = 2, max_grade = 3 WHERE {OF_2}",
        ["the grade is 2.0 of 3.0, in the history 1.0 of 2.0"],
    ),
    "a grade gone": (
        f"UPDATE {STATE} SET grade = NULL, max_grade = NULL WHERE {OF_2}",
        ["the grade is none, in the history 1.0 of 2.0"],
    ),
    "the grade of the last revision gone": (
        f"UPDATE {HISTORY} SET grade = NULL, max_grade = NULL WHERE {OF_2} AND revision = 2",
        ["the grade is 1.0 of 2.0, in the history none"],
    ),
    "the state of a long history emptied": (
        f"""UPDATE {STATE} SET fields = '{{}}' WHERE {OF_1_AT_A}""",
        ["the state differs from its replay in fields 'f0', 'f1', 'f2', 'x'"],
    ),
}  # fmt: skip


@each_engine
@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_found_and_nothing_else_is_reported(saved, alias, kind):
    sql, expected = DAMAGES[kind]
    damage(alias, sql)
    learner, key = (1, str(A)) if OF_1_AT_A in sql else (2, str(B))
    for batch in (1, 2, 1000):
        assert findings(alias, batch) == [Finding(learner, key, what) for what in expected]


@each_engine
@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("the state", f"UPDATE {STATE} SET fields = %s WHERE {OF_2}"),
        ("the delta of revision 2", f"UPDATE {HISTORY} SET delta = %s WHERE {OF_2} AND revision = 2"),
        (f"the snapshot of revision {SNAPSHOT_EVERY}", f"UPDATE {HISTORY} SET snapshot = %s WHERE {SNAPSHOT}"),
    ],
)
def test_damaged_json_is_a_finding_and_not_a_crash(saved, alias, name, sql):
    for text in BROKEN:
        damage(alias, sql, text)
        (what,) = whats(alias)
        assert what.startswith(name)
        assert " is not JSON" in what or what.endswith(("is not a JSON object", "has no JSON text in field 'x'"))


@each_engine
def test_after_a_gap_the_snapshot_says_what_to_replay_on(saved, alias):
    """What cannot be replayed is not said to differ; from the next snapshot on it can be."""
    damage(alias, f"DELETE FROM {HISTORY} WHERE {OF_1_AT_A} AND revision = 2")
    assert whats(alias) == ["the history jumps from revision 1 to 3"]
    damage(alias, f"""UPDATE {STATE} SET fields = '{{"x": "0"}}' WHERE {OF_1_AT_A}""")
    assert whats(alias) == [
        "the history jumps from revision 1 to 3",
        "the state differs from its replay in fields 'f0', 'f1', 'f2', 'x'",
    ]


@each_engine
def test_a_long_list_of_fields_is_cut(store, alias):
    store.save(1, {A: {f"f{number}": 1 for number in range(9)}})
    damage(alias, f"UPDATE {STATE} SET fields = '{{}}'")
    assert whats(alias) == ["the state differs from its replay in fields 'f0', 'f1', 'f2', 'f3', 'f4' and 4 more"]


@each_engine
def test_a_usage_whose_key_is_gone(saved, alias):
    saved.save(3, {C: {"x": 1}})
    damage(alias, f"UPDATE {STATE} SET usage_id = 999 WHERE student_id = 3")
    damage(alias, f"DELETE FROM {HISTORY} WHERE student_id = 3")
    assert [finding.key for finding in findings(alias)] == ["(usage 999, whose key is missing)"]


# While others save


def changing(batches, change):
    for batch in batches:
        yield batch
        change()


@each_engine
def test_a_save_between_reading_states_and_history_is_no_disagreement(saved, alias):
    """A state that grew meanwhile, and one that was not there when the states were read."""

    def save():
        Store(alias).save(2, {B: {"x": 3}})
        Store(alias).save(2, {B: {"x": 4}, C: {"new": 1}})
        Store(alias).save(9, {C: {"new": 1}})

    with at_statement(f"FROM {HISTORY}", save, using=alias):
        assert findings(alias) == []


@each_engine
def test_damage_is_found_although_there_was_a_save_meanwhile(saved, alias):
    damage(alias, f"UPDATE {STATE} SET fields = '{{}}' WHERE {OF_2}")
    with at_statement(f"FROM {HISTORY}", lambda: Store(alias).save(2, {B: {"x": 3}}), using=alias):
        assert whats(alias) == ["the state differs from its replay in fields 'x', 'z'"]


@each_engine
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_saves_between_batches_are_no_disagreement(saved, alias, batch):
    numbers = iter(range(1000))

    def save():
        number = next(numbers)
        if number < 10:
            for learner in (0, 1, 2, 3, 10 + number):
                saved.save(learner, {A: {"x": number}, B: {"x": number}, usage(f"new{number}"): {"x": 1}})

    batches = changing(Verification(alias, Part(), batch).batches(), save)
    assert [finding for batch in batches for finding in batch] == []


# Queries and memory


@each_engine
@pytest.mark.parametrize(("learners", "saves"), [(20, 1), (10, 2), (4, 5)])
def test_queries_go_by_the_batch_and_not_by_the_row(store, alias, learners, saves):
    for learner in range(learners):
        for number in range(saves):
            store.save(learner, {A: {"x": number}})
    verification = Verification(alias, Part(), 5)
    with CaptureQueriesContext(connections[alias]) as queries:
        list(verification.batches())
    assert (verification.states, verification.revisions) == (learners, learners * saves)
    batches = learners // 5 + 1
    assert len(queries) <= batches + (20 // 5 + batches)  # each: those that are full, and one that finds the end
    assert all("LIMIT 5" in query["sql"] and "OFFSET" not in query["sql"] for query in queries)


@each_engine
def test_much_damage_takes_two_more_queries_a_batch(store, alias):
    for learner in range(20):
        store.save(learner, {A: {"x": 1}})
    with CaptureQueriesContext(connections[alias]) as clean:
        assert findings(alias, 10) == []
    damage(alias, f"UPDATE {STATE} SET revision = 0")
    with CaptureQueriesContext(connections[alias]) as damaged:
        assert len(findings(alias, 10)) == 20
    assert len(damaged) == len(clean) + 2 * 2


@each_engine
def test_no_list_of_findings_is_longer_than_a_batch(saved, alias):
    """A single row with more wrong than that."""
    damage(alias, f"UPDATE {HISTORY} SET delta = 'x'")
    lengths = [len(found) for found in Verification(alias, Part(), 7).batches()]
    assert sum(lengths) == LAST + 4
    assert max(lengths) == 7


@each_engine
@pytest.mark.parametrize("part", [Part(), Part(learner_id=1), Part(usage_id=1), Part(context_id=1)])
def test_the_primary_keys_serve_it(saved, alias, part):
    with CaptureQueriesContext(connections[alias]) as queries:
        list(Verification(alias, part, 2).batches())
    for plan in plans(alias, [query["sql"] for query in queries]):
        assert FULL_SCAN not in plan, plan


# The command


@pytest.fixture
def broken(saved, alias):
    """Learners 1 and 2 and the courses' blocks, each row damaged."""
    saved.save(2, {ELSEWHERE: {"x": 1}})
    damage(alias, f"UPDATE {STATE} SET revision = revision + 1")
    return saved


def line(learner, key, revision):
    return f"learner {learner}, {key}: the history ends at revision {revision}, the state is at {revision + 1}\n"


@each_engine
@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ([], [(1, A, LAST), (1, B, 2), (2, B, 2), (2, ELSEWHERE, 1)]),
        (["--learner", "2"], [(2, B, 2), (2, ELSEWHERE, 1)]),
        (["--context", str(COURSE)], [(1, A, LAST), (1, B, 2), (2, B, 2)]),
        (["--context", str(ELSEWHERE.context_key)], [(2, ELSEWHERE, 1)]),
        (["--usage", str(B)], [(1, B, 2), (2, B, 2)]),
        (["--usage", str(B), "--learner", "1"], [(1, B, 2)]),
    ],
)
def test_it_lists_what_disagrees_in_the_part_that_was_named(broken, alias, arguments, rows):
    status, out, err = run(alias, *arguments)
    revisions = sum(revision for *_, revision in rows)
    summary = f"{len(rows)} states and {revisions} revisions read: {len(rows)} disagreements\n"
    assert (status, out, err) == (1, "".join(line(*row) for row in rows) + summary, "")


@each_engine
def test_damage_outside_the_part_is_not_looked_at(broken, alias):
    broken.save(3, {C: {"x": 1}})
    for arguments in (["--learner", "3"], ["--usage", str(C)], ["--usage", str(C), "--context", str(COURSE)]):
        assert run(alias, *arguments) == (0, "1 states and 1 revisions read: all agree\n", "")


@each_engine
@pytest.mark.parametrize("filters", [{"learner_id": 2}, {"context": str(COURSE)}, {"usage": str(B)}])
def test_history_without_a_state_is_found_in_a_part(saved, alias, filters):
    damage(alias, f"DELETE FROM {STATE} WHERE {OF_2}")
    part = part_of(alias, **filters)
    assert findings(alias, part=part) == [Finding(2, str(B), "there is history, to revision 2, and no state")]


@each_engine
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--learner", "77"], "learner 77"),
        (["--learner", "0"], "learner 0"),
        (["--context", "course-v1:No+Such+Course"], "course-v1:No+Such+Course"),
        (["--usage", "slip"], "slip"),
        (["--learner", "2", "--usage", str(A)], f"learner 2, {A}"),
    ],
)
def test_a_part_that_is_not_there_is_not_called_clean(saved, alias, arguments, named):
    """A slip in a key would otherwise read as "all agree"."""
    status, out, error = run(alias, *arguments)
    assert (status, out) == (2, "")
    assert error == str(NothingStoredError(named, alias))


@each_engine
def test_an_old_usage_key_has_to_say_its_run(store, alias):
    """As it is typed, or as it stands in the findings, or with its course beside it."""
    key = "i4x://Org/Course/problem/x"
    store.save(1, {UsageKey.from_string(key).map_into_course(CourseKey.from_string("Org/Course/Run")): {"x": 1}})
    status, out, error = run(alias, "--usage", key)
    assert (status, out) == (2, "")
    assert error.endswith(f"name its course beside it, or put the run behind it, {key}#2014_T1.")
    for arguments in (["--usage", f"{key}#Run"], ["--usage", key, "--context", "Org/Course/Run"]):
        assert run(alias, *arguments)[:2] == (0, "1 states and 1 revisions read: all agree\n")


def test_an_alias_that_is_not_there():
    with pytest.raises(CommandError, match="invalid choice: 'nowhere'"):
        call_command("fieldstone_verify", "--using", "nowhere")


def test_its_help_has_examples():
    said = (
        load_command_class("fieldstone.store", "fieldstone_verify")
        .create_parser("manage.py", "fieldstone_verify")
        .format_help()
    )
    assert "\n  manage.py fieldstone_verify --using courseware --learner 42\n" in said
    assert "exit status: 0" in said


# Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@each_engine
def test_lines_of_progress_go_to_the_errors_and_leave_the_list_clean(broken, alias, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    status, out, err = run(alias)
    assert status == 1
    assert len(out.splitlines()) == 5
    assert err == "4 of 4 states\n"


def test_a_line_is_written_every_few_seconds():
    now, err = 0.0, io.StringIO()
    lines = progress.Lines("states", 12_000, io.StringIO(), err, clock=lambda: now)
    for second in range(12):
        now = float(second)
        lines.reach(second * 1000)
    assert err.getvalue() == "5,000 of 12,000 states\n10,000 of 12,000 states\n"


def test_a_terminal_without_rich_gets_lines(monkeypatch):
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    with progress.progress("states", 10, Terminal(), Terminal()) as shown:
        assert isinstance(shown, progress.Lines)


@pytest.mark.skipif(find_spec("rich") is None, reason="rich is not installed")
def test_a_terminal_with_rich_gets_a_bar(monkeypatch):
    """What is printed comes through as it is, whatever looks like markup or a number in it."""
    monkeypatch.setenv("TERM", "xterm")
    out, err = Terminal(), Terminal()
    with progress.progress("states", 10, out, err) as shown:
        shown.print("field '[red]x[/red]' of learner 1")
        shown.reach(10)
    assert "field '[red]x[/red]' of learner 1\n" in out.getvalue()
    assert "10/10" in out.getvalue()
    assert err.getvalue() == ""


def test_a_pipe_gets_no_bar():
    with progress.progress("states", 10, io.StringIO(), io.StringIO()) as shown:
        assert isinstance(shown, progress.Lines)
