"""Budgets by name: what is in their file, how it is recorded, by pytest and without it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldstone.testing.budgets import BudgetsFileError, NoSuchQueryBudget, QueryBudgetExceeded, query_budget
from fieldstone.testing.budgets.ledger import Ledger, use, use_no_longer
from fieldstone.testing.budgets.recorded import Change, merge, merge_of_run, read
from fieldstone.testing.budgets.uses import Uses, keep_most
from tests.testing.blog.models import Author, Tag

UPDATE = "--update-query-budgets"
WRITER = """
import pathlib, sys
from fieldstone.testing.budgets.recorded import merge
for each in range(1, 21):
    merge(pathlib.Path(sys.argv[1]), {f"{sys.argv[2]} {each}": {"default": each}})
"""


def django_tests(pytester, *args, **environment):
    """``manage.py test`` in the project's folder."""
    root = str(Path(__file__).parents[2])
    settings = {"DJANGO_SETTINGS_MODULE": "tests.testing.project", "PYTHONPATH": f"{root}:."}
    return subprocess.run(
        [sys.executable, "-m", "django", "test", *args],
        cwd=pytester.path,
        env={**os.environ, **settings, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(autouse=True)
def locks_of_their_own(tmp_path_factory, monkeypatch):
    """A file's lock stays in the folder for temporary files; that of tests goes with the rest."""
    folder = str(tmp_path_factory.mktemp("locks"))
    monkeypatch.setattr(tempfile, "tempdir", folder)
    monkeypatch.setenv("TMPDIR", folder)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "query_budgets.json"


class TestFile:
    def test_none_yet(self, path):
        assert read(path) == {}

    def test_written_readable_and_sorted(self, path):
        merge(path, {"list of posts": {"default": 2}, "détail": {"history": 1, "default": 3}})
        assert path.read_text(encoding="utf-8") == (
            '{\n  "détail": {\n    "default": 3,\n    "history": 1\n  },\n'
            '  "list of posts": {\n    "default": 2\n  }\n}\n'
        )
        assert list(path.parent.iterdir()) == [path]

    def test_other_names_stay(self, path):
        merge(path, {"a": {"default": 1}, "b": {"default": 1}})
        changes = merge(path, {"b": {"default": 5}, "c": {}})
        assert changes == [Change("b", {"default": 1}, {"default": 5}), Change("c", None, {})]
        assert read(path) == {"a": {"default": 1}, "b": {"default": 5}, "c": {}}

    def test_unchanged_numbers_leave_it_as_somebody_wrote_it(self, path):
        path.write_text('{"a": {"default": 1, "history": 0}}')
        assert merge(path, {"a": {"default": 1}}) == []
        assert path.read_text() == '{"a": {"default": 1, "history": 0}}'

    def test_a_link_stays_a_link_and_the_mode_stays(self, path, tmp_path):
        other = tmp_path / "other.json"
        other.write_text("{}")
        other.chmod(0o640)
        path.symlink_to(other)
        merge(path, {"a": {"default": 1}})
        assert path.is_symlink()
        assert read(other) == {"a": {"default": 1}}
        assert other.stat().st_mode & 0o777 == 0o640

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("<<<<<<< HEAD", "is not JSON"),
            ('{"a": {"default": 1}, "a": {"default": 2}}', '"a" is in it twice'),
            ("[]", "has to be an object of names"),
            ('{"a": 4}', '"a" in .* has to have a number for each database'),
            ('{"a": {"default": -1}}', '"a" in .* has -1 for default'),
            ('{"a": {"default": true}}', '"a" in .* has True for default'),
        ],
    )
    def test_a_broken_one_is_refused_and_left(self, path, text, complaint):
        path.write_text(text)
        with pytest.raises(BudgetsFileError, match=complaint):
            read(path)
        with pytest.raises(BudgetsFileError, match=re.escape(str(path))):
            merge(path, {"b": {"default": 1}})
        assert path.read_text() == text

    def test_processes_that_write_at_once_lose_nothing(self, path):
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)]) for number in range(4)]
        assert [writer.wait() for writer in writers] == [0] * 4
        assert read(path) == {
            f"{number} {each}": {"default": each} for number in range(4) for each in range(1, 21)
        }

    def test_of_one_run_the_most_stays_and_the_next_begins_anew(self, path):
        merge_of_run(path, "one", Uses({"a": {"default": 5}}))
        merge_of_run(path, "one", Uses({"a": {"default": 3, "history": 1}}))
        assert read(path) == {"a": {"default": 5, "history": 1}}
        merge_of_run(path, "two", Uses({"a": {"default": 2}}))
        assert read(path) == {"a": {"default": 2}}


USES = st.lists(
    st.tuples(st.sampled_from("ab"), st.dictionaries(st.sampled_from(["default", "history"]), st.integers(0, 5)))
)


@given(USES)
def test_the_most_of_all_uses_is_kept(uses):
    measured = {}
    for name, numbers in uses:
        keep_most(measured, name, numbers)
    for name in {name for name, _numbers in uses}:
        of_name = [numbers for each, numbers in uses if each == name]
        most = {alias: max(numbers.get(alias, 0) for numbers in of_name) for alias in ("default", "history")}
        assert measured[name] == {alias: number for alias, number in most.items() if number}


@pytest.mark.django_db
class TestUse:
    @pytest.fixture(autouse=True)
    def ledger(self, path):
        path.write_text('{"list of posts": {"default": 1}, "nothing": {}}')
        ledger = Ledger(path, False, "pytest --update-query-budgets")
        use(ledger)
        yield ledger
        use_no_longer(ledger)

    def test_kept(self):
        with query_budget("list of posts"):
            Author.objects.count()

    def test_exceeded(self, path):
        with pytest.raises(QueryBudgetExceeded) as failure, query_budget("list of posts"):
            Author.objects.count()
            Tag.objects.count()
        assert str(failure.value).startswith(
            'Query budget "list of posts" exceeded: 2 queries on default, at most 1 allowed, 1 too many.\n\n'
            "  database   budget      used   difference\n"
            "  default    at most 1      2           +1\n\n"
            f"The budget is from {path}. If more is right, record it: pytest --update-query-budgets\n\n"
        )

    def test_exactly(self, path):
        with pytest.raises(QueryBudgetExceeded) as failure, query_budget("list of posts", exact=True):
            pass
        assert str(failure.value).startswith('Query budget "list of posts" not used up: 0 queries')
        advice = "If fewer is right, record it: pytest --update-query-budgets"
        assert f"\n\nThe budget is from {path}. {advice}" in str(failure.value)

    def test_exactly_with_fewer_on_one_database_and_more_on_another(self, path):
        path.write_text('{"moved": {"default_history": 1}}')
        with pytest.raises(QueryBudgetExceeded) as failure, query_budget("moved", exact=True):
            Author.objects.count()
        assert f"The budget is from {path}. If this is right, record it: pytest" in str(failure.value)

    def test_recorded_as_none(self):
        with (
            pytest.raises(QueryBudgetExceeded, match="1 query on default, which may have none"),
            query_budget("nothing"),
        ):
            Author.objects.count()

    def test_not_recorded(self, path):
        with pytest.raises(NoSuchQueryBudget) as failure, query_budget("list of post"):
            Author.objects.count()
        assert str(failure.value) == (
            f'{path} has no query budget "list of post". This time it took: default 1.\n'
            'Is "list of posts" meant, which it has?\n'
            "Record it, if that is right: pytest --update-query-budgets"
        )

    def test_an_error_of_the_body_goes_through_and_is_not_recorded(self, ledger):
        ledger.is_updated = True
        with pytest.raises(ZeroDivisionError), query_budget("list of posts"):
            raise ZeroDivisionError
        assert ledger.uses == Uses()

    def test_a_broken_file_is_told_before_the_body_runs(self, path):
        path.write_text("{")
        with pytest.raises(BudgetsFileError), query_budget("list of posts"):
            pytest.fail("the body ran")


TESTS = """
    import pytest
    from fieldstone.testing.budgets import query_budget
    from tests.testing.blog.models import Author

    def ask(times):
        for _ in range(times):
            Author.objects.count()

    @pytest.mark.parametrize("times", [1, 3, 2])
    def test_posts(db, times):
        with query_budget("list of posts"):
            ask(times)

    @pytest.mark.query_budget
    def test_of_its_own(db):
        ask(2)

    @pytest.mark.query_budget("none at all", exact=True)
    def test_none(db):
        pass
"""
RECORDED = {"list of posts": {"default": 3}, "none at all": {}, "test_blog.py::test_of_its_own": {"default": 2}}


def test_recorded_by_pytest(project, pytester):
    result = project(TESTS)
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(
        [
            '*query_budgets.json has no query budget "list of posts". This time it took: default 1.',
            "*Record it, if that is right: pytest --update-query-budgets",
            '*query_budgets.json has no query budget "none at all". This time it took: no query.',
        ]
    )
    path = pytester.path / "query_budgets.json"
    path.write_text('{"list of posts": {"default": 9, "history": 1}, "other": {"default": 7}}')
    result = project(TESTS, UPDATE)
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "*= query budgets =*",
            "query_budgets.json: 1 changed, 2 new, 0 as they were.",
            "  name                            database   was   is",
            "  list of posts                   default      9    3",
            "  list of posts                   history      1    0",
            "  none at all                     any          -    0",
            "  test_blog.py::test_of_its_own   default      -    2",
        ]
    )
    assert json.loads(path.read_text()) == {**RECORDED, "other": {"default": 7}}
    result = project(TESTS)
    result.assert_outcomes(passed=5)
    result.stdout.no_fnmatch_line("*= query budgets =*")


def test_recorded_by_workers_of_xdist_into_the_file_that_the_ini_names(project, pytester):
    result = project(TESTS, UPDATE, "-n", "2", "-o", "fieldstone_query_budgets=tests/budgets.json")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["tests/budgets.json: 0 changed, 3 new, 0 as they were."])
    assert json.loads((pytester.path / "tests/budgets.json").read_text()) == RECORDED


def test_a_broken_file_stops_the_recording_before_the_tests(project, pytester):
    (pytester.path / "query_budgets.json").write_text("{")
    result = project(TESTS, UPDATE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *query_budgets.json is not JSON (*). Mend it, or take back what changed it."]
    )


def test_recorded_by_unittest_in_several_processes(pytester):
    """Each process writes at once, and knows what the others of the run have measured."""
    classes = "".join(
        f"""
    class Tests{number}(TestCase):
        @query_budget("list of posts")
        def test_posts(self):
            for _ in range({number}):
                Author.objects.count()
    """
        for number in (1, 3, 2)
    )
    head = """
    from django.test import TestCase
    from fieldstone.testing.budgets import query_budget
    from tests.testing.blog.models import Author
    """
    pytester.makepyfile(test_blog=head + classes)
    path = pytester.path / "query_budgets.json"
    path.write_text('{"list of posts": {"default": 9}}')
    result = django_tests(pytester, "--parallel", "2", FIELDSTONE_UPDATE_QUERY_BUDGETS="1")
    assert result.returncode == 0, result.stderr
    assert json.loads(path.read_text()) == {"list of posts": {"default": 3}}

    path.write_text('{"list of posts": {"default": 2}}')
    result = django_tests(pytester, FIELDSTONE_QUERY_BUDGETS="query_budgets.json")
    assert "FAILED (failures=1)" in result.stderr
    advice = "If more is right, record it: set FIELDSTONE_UPDATE_QUERY_BUDGETS=1 and run the test again."
    assert f"The budget is from query_budgets.json. {advice}" in result.stderr
