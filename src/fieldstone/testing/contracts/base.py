"""What the suites of regions and of locks have in common: how a class says what it tests, and their fixtures."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, ClassVar

import pytest

from fieldstone import conf
from fieldstone.kvs import Region
from fieldstone.kvs.backends.base import Backend
from fieldstone.testing.contracts import workers as at_once
from fieldstone.testing.contracts.processes import CAN_FORK, Workers

Make = Callable[..., Region]
"""``make(name=None, **options)``: a region of a new name, or another handle to one whose name is given."""
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class OnRegions:
    """A class of tests that says on which backend: by its attributes, or by a ``make_region`` of its own.

    A backend that keeps things in Django's databases wants ``@pytest.mark.django_db(transaction=True)`` on the
    class, since threads and processes have to see what is written.
    """

    backend: ClassVar[str | type[Backend]]
    """A name of ``REGION_BACKENDS``, a dotted path or a class: what ``Region.configure`` is told."""
    options: ClassVar[Mapping[str, Any]] = {}
    """The backend's own options, such as where its server is."""
    brief: float = 0.2
    """The shortest time in seconds that an entry can be kept and a lock held: 1 for a server of whole seconds."""
    patience: float = 20.0
    """What takes some times ``brief`` has failed when it is not over after so many seconds, on any machine."""

    def make_region(self, name: str, **options: Any) -> Region:
        """A region of that name, configured with these options of a region, such as ``ttl``, and the backend's.

        May be called twice with one name: the two see the same entries where ``abilities.shared`` says so.
        """
        if not hasattr(self, "backend"):
            pytest.fail(
                f"{type(self).__name__} says no backend to test.\n\n"
                "  Give the class `backend`, a dotted path or a class, and `options`, a dict of its arguments;\n"
                "  or a method `make_region(self, name, **options)` that gives a configured Region.",
                pytrace=False,
            )
        return Region(name).configure(self.backend, **{**self.options, **options})

    def eventually(self, is_so: Callable[[], Any]) -> None:
        """Wait until it is so, with the patience of this class."""
        at_once.eventually(is_so, self.patience)

    @pytest.fixture
    def make(self) -> Iterator[Make]:
        """Makes regions: of a new name, or another handle to one whose name is given."""
        with making(self.make_region) as make:
            yield make

    @pytest.fixture
    def region(self, make: Make) -> Region:
        """One of a new name."""
        return make()

    @pytest.fixture
    def shared(self, region: Region) -> Region:
        """The region, where other processes see it."""
        needs(region, "shared")
        return region

    @pytest.fixture
    def run(self, region: Region) -> Run:
        """Runs a coroutine that uses the region."""
        return running(region)

    @pytest.fixture
    def workers(self) -> Iterator[Workers]:
        """Processes that end with the test."""
        if not CAN_FORK:
            pytest.skip("processes are forked, which this system cannot")
        with Workers() as workers:
            yield workers


@contextlib.contextmanager
def making(make_region: Callable[..., Region]) -> Iterator[Make]:
    """Makes regions: of a new name, so that no test sees what another left, or of the one that is given.

    At the end they are cleared and closed.
    """
    made: list[Region] = []
    bare: list[Region] = []

    def made_and_kept(name: str | None = None, **options: Any) -> Region:
        region = make_region(name or f"test-{uuid.uuid4().hex[:12]}", **options)
        (bare if options.get("prefix") == "" else made).append(region)
        return region

    yield made_and_kept
    for region in made:
        if region.abilities.iterate:
            region.clear()
    for region in [*made, *bare]:  # to clear a bare one would delete all that the server holds
        region.close()


def running(region: Region) -> Run:
    """Runs a coroutine that uses the region, and closes what it had open in the loop."""

    async def closing(coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await coroutine
        finally:
            await region.aclose()

    return lambda coroutine: at_once.in_loop(closing(coroutine))


NEEDED = {
    "shared": "no other process sees it",
    "fencing": "it has no fencing",
    "fair_locks": "its locks are not fair",
}


def needs(region: Region, *abilities: str) -> None:
    """Skip what these abilities are a condition of; that the calls are refused without is a test of its own."""
    for ability in abilities:
        if not getattr(region.abilities, ability):
            pytest.skip(NEEDED.get(ability, f"it has no {ability}"))


def needs_manglers() -> None:
    """Skip where the settings turn them off."""
    if not conf.key_mangling():
        pytest.skip("KEY_MANGLING of the settings is off")
