"""Fixtures of the suites that run on every backend."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from fieldstone.kvs import Region
from tests.kvs.backends import KINDS, Kind, params
from tests.kvs.workers import Workers, in_loop


@pytest.fixture(params=params(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each backend in turn."""
    kind: Kind = request.param
    return kind


@pytest.fixture
def make(kind: Kind) -> Iterator[Callable[..., Region]]:
    """Makes regions: of a new name, or another handle to one whose name is given."""
    made: list[Region] = []

    def made_and_kept(name: str | None = None, **options: Any) -> Region:
        made.append(kind.configured(name, **options))
        return made[-1]

    yield made_and_kept
    for region in made:
        if region.abilities.iterate:
            region.clear()
        region.close()


@pytest.fixture
def region(make: Callable[..., Region]) -> Region:
    return make()


@pytest.fixture
def run(region: Region) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine that uses the region, and closes what it had open in the loop."""

    async def closing(coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await coroutine
        finally:
            await region.aclose()

    return lambda coroutine: in_loop(closing(coroutine))


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
    if not region.abilities.shared:
        pytest.skip("no other process sees it")
    return region
