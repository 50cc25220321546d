"""The backends that the bridge is tried with, where their servers are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from dogpile.cache import make_region

from fieldstone.kvs.bridge import register

register()

NAMES = ["fieldstone.memory", "fieldstone.redis", "fieldstone.memcached", "fieldstone.database"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "time_intensive: a test of dogpile's suites that sleeps for seconds")


def arguments(name: str) -> dict[str, Any]:
    """How to reach the server of a backend; skips the test where it is not running."""
    if name == "fieldstone.memory":
        return {"max_bytes": 2**20}
    if name == "fieldstone.database":
        return {"using": "default"}
    variable = f"FIELDSTONE_{name.rpartition('.')[2].upper()}_URL"
    if variable not in os.environ:
        pytest.skip(f"{variable} is not set: scripts/with_servers.py starts the server")
    return {"url": os.environ[variable]}


@pytest.fixture(params=NAMES)
def region(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A region of dogpile.cache on each backend of ours, empty of the keys that tests use."""
    if request.param == "fieldstone.database":
        request.getfixturevalue("transactional_db")
    made = make_region(request.param).configure(request.param, arguments=arguments(request.param))
    made.delete_multi(["a", "b", "c"])
    yield made
    made.delete_multi(["a", "b", "c"])
    made.actual_backend.close()
