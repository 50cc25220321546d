"""Fixtures of the test kit's own tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ENGINES

KIT = [alias for alias in ENGINES if alias != "prepared"]


def on_engines(*, transaction: bool) -> pytest.MarkDecorator:
    """Run a test on each engine, with its ``alias``: in Django's test transaction, or with real ones."""
    cases = []
    for alias in KIT:
        mark = pytest.mark.django_db(
            transaction=transaction, databases=[alias], available_apps=["tests.testing.blog"]
        )
        cases.append(pytest.param(alias, marks=mark))
    return pytest.mark.parametrize("alias", cases, indirect=True)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs ``pytest`` on tests (their text) in a project that uses the kit, in a process of its own."""

    def run(text: str, *args: str, **files: str) -> pytest.RunResult:
        root = Path(__file__).parents[2]
        pytester.makeini(
            f"""
            [pytest]
            pythonpath = {root}
            asyncio_default_fixture_loop_scope = function
            """
        )
        pytester.makepyfile(test_blog=text, **files)
        # The variable of the environment, which names our own settings, goes before one of the ini-file.
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "--ds=tests.testing.project", *args)

    return run
