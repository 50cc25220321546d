"""Named budgets that are exact: while they are recorded, all uses of a name have to take the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldstone.testing.budgets import QueryBudgetExceeded
from fieldstone.testing.budgets.ledger import Ledger
from fieldstone.testing.budgets.recorded import read
from fieldstone.testing.budgets.uses import Uses
from tests.testing.test_named_budgets import UPDATE, django_tests
from tests.testing.test_named_budgets import (
    locks_of_their_own as locks_of_their_own,
)  # which holds for all tests here

NUMBERS = st.dictionaries(st.sampled_from(["default", "history"]), st.integers(0, 2))
USES = st.lists(st.tuples(st.sampled_from("ab"), NUMBERS, st.booleans()), max_size=6)


def added(uses):
    together = Uses()
    for name, numbers, exact in uses:
        together.add(name, numbers, exact=exact)
    return together


@given(USES, st.integers(0, 6))
def test_names_differ_if_an_exact_use_took_anything_but_the_most(uses, at):
    differing = set()
    for name in "ab":
        of_name = [(numbers, exact) for each, numbers, exact in uses if each == name]
        most = {
            alias: max([n.get(alias, 0) for n, _exact in of_name], default=0) for alias in ("default", "history")
        }
        if any(exact and {"default": 0, "history": 0, **numbers} != most for numbers, exact in of_name):
            differing.add(name)
    together, in_two = added(uses), added(uses[:at])
    in_two.join(Uses(**json.loads(json.dumps(added(uses[at:]).data))))
    assert set(together.differing) == set(in_two.differing) == differing
    assert together.recordable == in_two.recordable


IMPORTS = """
    import pytest
    from django.test import TestCase
    from fieldstone.testing.budgets import query_budget
    from tests.testing.blog.models import Author

    def ask(times):
        for _ in range(times):
            Author.objects.count()
"""
TESTS = (
    IMPORTS
    + """
    @pytest.mark.django_db
    @pytest.mark.query_budget("nm", exact=True)
    @pytest.mark.parametrize("times", [1, 2])
    def test_one_name(times):
        ask(times)

    @pytest.mark.django_db
    @pytest.mark.query_budget("at most")
    @pytest.mark.parametrize("times", [1, 2])
    def test_at_most(times):
        ask(times)

    @pytest.mark.django_db
    @pytest.mark.query_budget(exact=True)
    @pytest.mark.parametrize("times", [1, 2])
    def test_names_of_their_own(times):
        ask(times)
"""
)
SAID = 'Query budget "nm" is exact, but not all of its uses take the same: one took default 1; another, default 2.'
TO_DO = "No number is right for them all. Give each use a name of its own *, or leave out exact=True: *"
RECORDED = {
    "at most": {"default": 2},
    "test_blog.py::test_names_of_their_own[1]": {"default": 1},
    "test_blog.py::test_names_of_their_own[2]": {"default": 2},
}


def test_uses_that_differ_fail_while_they_are_recorded(project, pytester):
    path = pytester.path / "query_budgets.json"
    result = project(TESTS, UPDATE)
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_one_name[[]2] _*",
            f"*{SAID}",
            f"*{TO_DO}",
            "*= query budgets =*",
            f"Not recorded: {SAID}",
            TO_DO,
        ]
    )
    assert json.loads(path.read_text()) == RECORDED
    project(TESTS, "-k", "not one_name").assert_outcomes(passed=4, deselected=2)


def test_uses_that_differ_between_workers_of_xdist_fail_the_run(project, pytester):
    """None of the tests can tell: the run does."""
    once = """
    @pytest.mark.query_budget("nm", exact=True)
    def test_nm(db):
        ask({times})
    """
    files = {"test_other": IMPORTS + once.format(times=2)}
    result = project(IMPORTS + once.format(times=1), UPDATE, "-n", "2", "--dist", "loadfile", **files)
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "query_budgets.json: 0 changed, 0 new, 0 as they were.",
            'Not recorded: Query budget "nm" is exact, *',
            TO_DO,
        ]
    )
    assert not (pytester.path / "query_budgets.json").exists()


def test_uses_that_differ_fail_under_unittest(pytester):
    case = """
    class Tests{times}(TestCase):
        @query_budget("nm", exact=True)
        def test_nm(self):
            ask({times})
    """
    pytester.makepyfile(test_blog=IMPORTS + case.format(times=1) + case.format(times=2))
    result = django_tests(pytester, FIELDSTONE_UPDATE_QUERY_BUDGETS="1")
    assert "FAILED (failures=1)" in result.stderr
    assert SAID in result.stderr


def test_processes_that_write_at_once_know_of_each_others_uses(tmp_path):
    path = tmp_path / "query_budgets.json"
    one, other = (Ledger(path, True, "again", writes_at_once=True) for _ in range(2))
    one.note("nm", {"default": 1}, exact=True)
    other.note("nm", {"default": 1}, exact=True)
    with pytest.raises(QueryBudgetExceeded, match="one took default 1; another, default 2"):
        other.note("nm", {"default": 2}, exact=True)
    with pytest.raises(QueryBudgetExceeded, match="one took default 1; another, default 2"):
        one.note("nm", {"default": 3})
    assert read(path) == {"nm": {"default": 1}}
