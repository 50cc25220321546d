"""Fixtures of the suites that run on every backend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import Make, Run, making, needs, running
from tests.kvs.backends import KINDS, Kind, params
from tests.kvs.workers import Workers


@pytest.fixture(params=params(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each backend in turn."""
    kind: Kind = request.param
    return kind


@pytest.fixture
def make(kind: Kind) -> Iterator[Make]:
    """Makes regions: of a new name, or another handle to one whose name is given."""
    with making(kind.configured) as make:
        yield make


@pytest.fixture
def region(make: Make) -> Region:
    return make()


@pytest.fixture
def run(region: Region) -> Run:
    """Runs a coroutine that uses the region, and closes what it had open in the loop."""
    return running(region)


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers() as workers:
        yield workers


@pytest.fixture
def brief(kind: Kind) -> float:
    """The shortest time in seconds that the backend can keep or hold something."""
    return kind.brief


@pytest.fixture
def shared(region: Region) -> Region:
    """The region, where other processes see it."""
    needs(region, "shared")
    return region
