"""The contract of stores, in a project that has Fieldstone's store installed and nothing of ours else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fieldstone.testing.contracts.stores import StoreContract
from tests.testing.broken_stores import BROKEN

SETTINGS = """
SECRET_KEY = "of tests only"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "fieldstone.store"]
USE_TZ = True
DATABASES = {"default": {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": ":memory:",
    # In a file, which threads share; nothing is lost when the machine stops that anybody would miss.
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA synchronous=OFF"},
    "TEST": {"NAME": TEST_NAME},
}}
"""
PLAIN = ["--ds=project_settings", "-p", "no:asyncio", "-p", "no:cacheprovider", "-q", "-rfEs"]
"""Not the settings of these tests, which the environment may name."""

THREE_LINES = """
import pytest
from fieldstone.store import Store
from fieldstone.testing.contracts.stores import StoreContract

class Wrapper:
    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        return getattr(self.store, name)

@pytest.mark.django_db(transaction=True)
class TestMyStore(StoreContract):
    def make_store(self):
        return Wrapper(Store("default"))
"""

OF_BROKEN = """
import pytest
from fieldstone.testing.contracts.stores import StoreContract
from tests.testing.broken_stores import BROKEN

for broken in BROKEN:
    name = f"Test{broken.__name__}"
    says = {"make_store": lambda self, broken=broken: broken("default"), "shorten": False, "examples": 400}
    globals()[name] = pytest.mark.django_db(transaction=True)(type(name, (StoreContract,), says))
"""


@pytest.fixture
def project(pytester):
    """Runs ``pytest`` on tests of a store (their text)."""

    def run(text, *args, in_memory=False):
        root = Path(__file__).parents[2]
        pytester.makeini(f"[pytest]\npythonpath = {root} .\nfilterwarnings = error\n")
        name = "None" if in_memory else repr(str(pytester.path / "test.sqlite3"))
        pytester.makepyfile(project_settings=SETTINGS.replace("TEST_NAME", name), test_store=text)
        return pytester.runpytest_subprocess(*PLAIN, *args)

    return run


def test_a_wrapper_proves_itself_in_three_lines(project):
    result = project(THREE_LINES)
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed"}, result.stdout.str()
    assert outcomes["passed"] > 150


def test_in_a_tests_own_transaction_only_races_are_skipped(project):
    """And in memory, where no other connection would see anything."""
    text = THREE_LINES.replace("(transaction=True)", "")
    result = project(text, "-k", "not plain_model and not any_saves and not whatever", in_memory=True)
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed", "skipped", "deselected"}, result.stdout.str()
    assert outcomes["skipped"] == 5 + 5  # those with threads, and those by the harness
    result.stdout.fnmatch_lines(["*stores/*.py*mark the class with django_db(transaction=True)*"])


def test_a_broken_promise_is_caught_by_the_test_of_it(project):
    """A table of stores that break one each: the test that it names fails, by an assertion of its own."""
    chosen = [f"test_store.py::Test{broken.__name__}::{broken.catches}" for broken in BROKEN]
    result = project(OF_BROKEN, *chosen, "--tb=line")
    output = result.stdout.str()
    assert "errors" not in result.parseoutcomes(), output
    failed = set(re.findall(r"FAILED test_store.py::(Test\w+)::(test_\w+)", output))
    assert failed == {(f"Test{broken.__name__}", broken.catches) for broken in BROKEN}, output


OTHERS = """

class TestOfNothing(StoreContract):
    pass

@pytest.mark.django_db
class TestWithoutAPromise(StoreContract):
    test_missing_is_not_none = None

    def make_store(self):
        return Store("default")
"""


def test_what_failures_say_and_how_a_promise_is_left_out(project):
    """The save and what was stored; a class that names no store is told how."""
    cases = [
        "(OfNothing or WithoutAPromise) and missing_is",
        "LosesFields and not_named",
        "HidesErrors and of_states_alone",
    ]
    chosen = ["-k", " or ".join(f"({case})" for case in cases)]
    result = project(OF_BROKEN + "from fieldstone.store import Store\n" + OTHERS, *chosen, in_memory=True)
    assert result.parseoutcomes() | {"deselected": 0} == {"failed": 2, "errors": 1, "deselected": 0}
    result.stdout.fnmatch_lines_random(
        [
            "E *Failed: The save raised nothing, and its statement 1 had failed:",
            "TestOfNothing says no store to test. Give the class the method",
            "    def make_store(self):",
            '        return MyStore("default")',
            '>       assert dict(receipt.states[[]A].fields) == {"attempts": 2, "seed": 7}',
            "E       AssertionError: assert {'attempts': 2} == {'attempts': 2, 'seed': 7}",
        ]
    )


def test_no_test_hides_another_of_its_name():
    names = [
        name
        for suite in StoreContract.__mro__
        for name in vars(suite)
        if name.startswith("test_") or hasattr(vars(suite)[name], "_fixture_function")
    ]
    assert len(names) > 80
    assert sorted(names) == sorted(set(names))


def test_the_broken_stores_name_tests_that_there_are():
    for broken in BROKEN:
        assert callable(getattr(StoreContract, broken.catches))
