"""Our backends as dogpile.cache sees them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections
from dogpile.cache import CacheRegion, make_region

from fieldstone.kvs.bridge import register
from tests.kvs.backends import DATABASES, MEMCACHED, MEMORY, REDIS, Kind

register()

FACED = [MEMORY, REDIS, MEMCACHED, *DATABASES]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "time_intensive: a test of dogpile's suites that sleeps for seconds")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The run without servers is to be quick."""
    if not any(os.environ.get(name) for name in ("CI", "FIELDSTONE_REDIS_URL", "FIELDSTONE_MEMCACHED_URL")):
        for item in items:
            if item.get_closest_marker("time_intensive"):
                item.add_marker(pytest.mark.skip(reason="it sleeps for seconds: `make test` runs it"))


def arguments(kind: Kind) -> dict[str, Any]:
    """How dogpile.cache is told of a backend's server."""
    return kind.options(os.environ[kind.variable] if kind.variable else kind.alias)


class ClosingThread(threading.Thread):
    """Closes what Django opened for it: nobody else can."""

    def run(self) -> None:
        try:
            super().run()
        finally:
            connections.close_all()


@pytest.fixture(autouse=True)
def threads_close_their_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the tests start, and those of dogpile's suites."""
    monkeypatch.setattr("dogpile.testing.fixtures.Thread", ClosingThread)
    monkeypatch.setattr(threading, "Thread", ClosingThread)


@pytest.fixture
def make_theirs(kind: Kind) -> Iterator[Callable[..., CacheRegion]]:
    """Makes regions of dogpile.cache on a backend of ours, empty of the keys that the tests use."""
    made: list[CacheRegion] = []

    def configured(**more: Any) -> CacheRegion:
        region = make_region(kind.name)
        made.append(region.configure(f"fieldstone.{kind.store}", arguments={**arguments(kind), **more}))
        region.delete_multi(["a", "b", "c"])
        return region

    yield configured
    for region in made:
        region.delete_multi(["a", "b", "c"])
        region.actual_backend.close()


@pytest.fixture
def theirs(make_theirs: Callable[..., CacheRegion]) -> CacheRegion:
    return make_theirs()
