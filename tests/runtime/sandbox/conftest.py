import sys

import pytest

from fieldstone.runtime.sandbox.limits import Limits
from fieldstone.runtime.sandbox.runner import PROGRAM, run


def pytest_collection_modifyitems(items):
    if sys.platform != "linux":
        for item in items:
            item.add_marker(pytest.mark.skip(reason="Python can be confined on Linux alone"))


@pytest.fixture
def jailed(tmp_path):
    """Run a program in the sandbox, with limits that are generous unless the test says otherwise."""

    def jailed(program, stdin=b"", **limits):
        (tmp_path / PROGRAM).write_text(program)
        return run(tmp_path, stdin, Limits(**{"seconds": 30, "wall_seconds": 60, **limits}))

    return jailed


@pytest.fixture
def sandbox_on(settings):
    settings.FIELDSTONE = {**settings.FIELDSTONE, "SANDBOX": {"seconds": 30, "wall_seconds": 60}}
