"""The fixture ``clock``, and the mark of the same name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from fieldstone.testing.around import Around
from fieldstone.testing.clock import Clock, Moment, frozen, ticking
from fieldstone.testing.clock.clock import following

MARK = 'clock(moment=None, tick=False): the time of a test and its fixtures, as in clock("2026-03-01 12:00")'
OF_A_TEST = "_fieldstone_clock"
"""What the mark asks for: not the fixture ``clock``, since a project may have one of that name."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the time of a marked test before its own fixtures run, and after those that it shares with others."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("clock"):
            names = item.fixturenames
            if OF_A_TEST in names:
                names.remove(OF_A_TEST)
            names.insert(_place_of_first(item), OF_A_TEST)


@pytest.fixture(name=OF_A_TEST)
def _of_a_test(request: pytest.FixtureRequest) -> Iterator[Clock]:
    with _told_by_mark(request) as clock:
        yield clock


@pytest.fixture
def clock(_fieldstone_clock: Clock) -> Clock:
    """A ``Clock``: real time, until it is moved or frozen; or what the mark ``clock`` says, if there is one."""
    return _fieldstone_clock


def _place_of_first(item: pytest.Function) -> int:
    """Of the fixtures that belong to one test: pytest has those with a wider scope before them."""
    definitions = item._fixtureinfo.name2fixturedefs
    for place, name in enumerate(item.fixturenames):
        if name in definitions and definitions[name][-1].scope == "function":
            return place
    return len(item.fixturenames)


def _told_by_mark(request: pytest.FixtureRequest) -> Around[Clock]:
    mark = request.node.get_closest_marker("clock")
    if mark is None:
        return following()
    with_django = settings.configured and request.config.pluginmanager.has_plugin("django")
    if with_django and request.node.get_closest_marker("django_db"):
        # If this is the first test, the databases are set up only now, and for all: so not at its time.
        request.getfixturevalue("django_db_setup")
    try:
        unknown = set(mark.kwargs) - {"moment", "tick"}
        if unknown or len(mark.args) > 1:
            raise TypeError('give it a moment, and tick=True where time is to run: clock("2026-03-01", tick=True)')
        return _held(*mark.args, **mark.kwargs)
    except (TypeError, ValueError) as error:
        said = str(error)
    pytest.fail(f"@pytest.mark.clock of {request.node.nodeid}: {said}", pytrace=False)


def _held(moment: Moment | None = None, *, tick: bool = False) -> Around[Clock]:
    return ticking(moment) if tick else frozen(moment)
