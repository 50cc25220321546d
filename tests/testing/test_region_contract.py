"""The suite of regions: what it says of backends of other people's, of one that does all, and of broken ones."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import making
from fieldstone.testing.contracts.locks import LockContract
from fieldstone.testing.contracts.regions import RegionContract
from fieldstone.testing.contracts.workers import in_threads
from tests.kvs.backends import needs_time
from tests.testing.broken_backends import OnOneServer
from tests.testing.third_party import DictBackend

THREE_LINES = """
    from fieldstone.testing.contracts.regions import RegionContract
    class TestDict(RegionContract):
        backend, brief = "tests.testing.third_party.DictBackend", 0.05
"""
MODEST = """
    from fieldstone.kvs import Region
    from fieldstone.testing.contracts.regions import RegionContract
    from tests.testing.third_party import ModestBackend

    class TestModest(RegionContract):
        backend, options, brief = ModestBackend, {"first_fence": 5}, 0.05

    class TestByAMethod(RegionContract):
        def make_region(self, name, **options):
            return Region(name).configure(ModestBackend, **options)

    class TestOfNothing(RegionContract):
        pass
"""
NO_DJANGO = ["-p", "no:django", "-p", "no:asyncio", "-p", "no:cacheprovider", "-rs", "-W", "error"]
BROKEN = {
    "GivesManyInTheirOwnOrder": ["test_many_values_come_in_the_order_of_their_keys"],
    "GivesManyWithoutThoseThatMiss": ["test_all_keys_that_are_missing_are_named"],
    "KeepsForEver": [
        "test_keys_of_a_call_expire_in_their_time_and_others_in_that_of_their_region",
        "test_expired_keys_are_no_keys",
    ],
    "KeepsWholeSecondsOnly": ["test_keys_of_a_call_expire_in_their_time_and_others_in_that_of_their_region"],
    "KeepsTheTimeOfTheOldValue": ["test_setting_again_without_a_time_to_live_keeps_the_value"],
    "TrimsValues": ["test_a_value_comes_back_as_it_was_set[b'']"],
    "DoesNotTellLettersApart": ["test_keys_that_differ_little_are_different_keys"],
    "KnowsNoPrefixes": ["test_two_regions_on_one_server_do_not_meet"],
    "SaysThatItDeletedWhatWasNotThere": [
        "test_deleting_what_is_not_there_is_told_unless_that_is_all_right",
        "test_a_region_does_as_a_dict_does",
    ],
    "CannotBeUsedAfterItIsClosed": ["test_one_region_serves_one_loop_after_another"],
    "IsOfOneProcessAndSaysOtherwise": [
        "test_another_process_sees_what_is_set_deleted_and_counted",
        "test_processes_that_count_lose_nothing",
    ],
    "CannotTouchAndSaysOtherwise": [
        "test_what_a_backend_can_do_is_done_and_what_it_cannot_is_told_and_touches_nothing[touch]"
    ],
    "TouchesNothing": ["test_touching_gives_another_time_to_live_and_leaves_the_value"],
    "Adds": ["test_add_keeps_a_value_only_where_there_is_none"],
    "AddsInTwoSteps": ["test_of_threads_that_add_one_key_one_does"],
    "CountsInTwoSteps": ["test_threads_that_count_lose_nothing"],
    "CountsBeyond64Bits": ["test_counting_beyond_64_bits_is_refused_and_changes_nothing[9223372036854775807-1]"],
    "CountsAnewEachTime": ["test_counting_keeps_the_time_to_live"],
    "ReplacesWhatIsEqualToAnOlderValue": ["test_the_same_value_written_again_is_another_version"],
    "ReplacesAnyVersion": ["test_a_value_is_replaced_only_by_who_knows_its_version"],
    "ReplacesWhatIsMissing": ["test_a_missing_value_has_no_version_and_is_not_replaced"],
    "ListsByPattern": ["test_names_that_look_like_patterns_belong_to_their_region_alone"],
    "ListsWhatHasExpired": ["test_expired_keys_are_no_keys"],
    "ListsOnePageOnly": ["test_keys_are_those_that_were_set_and_clearing_leaves_none"],
}
"""Backends of ``broken_backends``, and the tests that have to find what is wrong with each."""


def classes(contract: str, module: str, names: list[str]) -> str:
    """A class of tests for each broken backend; little patience, since they are waited for in vain."""
    lines = [f"from {module} import {contract}"]
    for name in names:
        lines.append(f"class Test{name}({contract}):")
        lines.append(f"    backend = 'tests.testing.broken_backends.{name}'")
        lines.append("    brief, patience = 0.05, 1.0")
    return "\n".join(lines)


def ids(broken: dict[str, list[str]]) -> list[str]:
    return [f"test_blog.py::Test{name}::{test}" for name, tests in broken.items() for test in tests]


def failed(result: pytest.RunResult) -> dict[str, list[str]]:
    """The tests that failed, by backend."""
    found: dict[str, list[str]] = {}
    for line in result.outlines:
        if told := re.match(r"FAILED test_blog.py::Test(\w+)::(test_\w+(?:\[.*?\](?= - |$))?)", line):
            found.setdefault(told[1], []).append(told[2])
    return found


def test_a_backend_proves_itself_in_three_lines_without_django_settings(pytester, monkeypatch):
    """Neither settings nor pytest-django: the suite needs them no more than regions do."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    pytester.makeini(f"[pytest]\npythonpath = {Path(__file__).parents[2]}\n")
    pytester.makepyfile(test_dict=THREE_LINES)
    result = pytester.runpytest_subprocess(*NO_DJANGO)
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed", "skipped"}
    assert outcomes["passed"] > 120
    result.stdout.fnmatch_lines(["SKIPPED * no other process sees it"])
    result.stdout.fnmatch_lines(
        ["SKIPPED * pickles are signed with Django's SECRET_KEY, and there are no settings"]
    )


def test_what_a_backend_says_that_it_cannot_do_is_tested_to_be_refused(project):
    """And a class that says no backend at all is told how to."""
    few = "TestModest or test_none_is_a_value"
    result = project(MODEST, "-k", few, "-v", "-rs")
    outcomes = result.parseoutcomes()
    assert "failed" not in outcomes
    assert outcomes["errors"] == 1
    abilities = ["add", "incr", "compare_and_set", "touch", "iterate"]
    test = "test_what_a_backend_can_do_is_done_and_what_it_cannot_is_told_and_touches_nothing"
    result.stdout.fnmatch_lines([f"*::TestModest::{test}[[]{ability}[]] PASSED*" for ability in abilities])
    for ability in abilities:
        result.stdout.fnmatch_lines([f"SKIPPED * it has no {ability}"])
    told = str(result.stdout)
    assert "::TestModest::test_what_a_backend_cannot_do_is_told_to_coroutines PASSED" in told
    assert "::TestByAMethod::test_none_is_a_value PASSED" in told
    assert "::TestOfNothing::test_none_is_a_value ERROR" in told
    assert (
        "TestOfNothing says no backend to test.\n\n"
        "  Give the class `backend`, a dotted path or a class, and `options`, a dict of its arguments;\n"
        "  or a method `make_region(self, name, **options)` that gives a configured Region.\n"
    ) in told


@needs_time
def test_what_is_wrong_with_a_backend_is_found_by_the_test_that_says_so(project):
    text = classes("RegionContract", "fieldstone.testing.contracts.regions", list(BROKEN))
    result = project(text, *ids(BROKEN), "-q", "--tb=short", "-rf")
    assert {name: sorted(tests) for name, tests in failed(result).items()} == {
        name: sorted(tests) for name, tests in BROKEN.items()
    }
    told = str(result.stdout)
    assert "assert [0, 49, 7, 7] == [7, 49, 0, 7]" in told, "asserts of the suite tell what they saw"
    assert "it is not so after 1 s" in told


def test_no_two_parts_of_the_suites_have_a_test_of_one_name():
    """Or the one would hide the other."""
    seen: dict[str, type] = {}
    for part in {*RegionContract.__mro__, *LockContract.__mro__}:
        for name in vars(part):
            if name.startswith("test"):
                assert seen.setdefault(name, part) is part, f"{name} is in {seen[name]} and in {part}"
    assert len(seen) > 100


def test_regions_are_cleared_after_a_test_and_nothing_else_on_their_server():
    """Clearing a region without prefix would delete what others keep there."""
    other = Region("of-somebody-else").configure(OnOneServer)
    other.set("key", 1)

    def make_region(name: str, **options: object) -> Region:
        return Region(name).configure(OnOneServer, **options)

    with making(make_region) as make:
        make().set("key", 2)
        make(prefix="").get("key", None)
    assert list(OnOneServer.everything) == ["of-somebody-else:key"]
    assert other.clear() == 1


def test_what_one_thread_raised_is_told_before_that_others_wait(request):
    over = threading.Event()
    request.addfinalizer(over.set)

    def work(number: int) -> None:
        if number == fails:
            raise KeyError("the reason")
        over.wait()

    fails = 1
    with pytest.raises(KeyError, match="the reason"):
        in_threads(2, work, seconds=0.1)
    fails = 2
    with pytest.raises(AssertionError, match=r"2 of 2 threads are still under way after 0.1 s"):
        in_threads(2, work, seconds=0.1)


def test_a_backend_may_be_given_as_a_class_or_by_its_path():
    for backend in (DictBackend, "tests.testing.third_party.DictBackend"):
        suite = type("TestOne", (RegionContract,), {"backend": backend, "options": {"first_fence": 5}})()
        region = suite.make_region("one", ttl=60)
        assert type(region.backend) is DictBackend
        assert region.lock("key").acquire().fence == 5
