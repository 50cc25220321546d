"""``frozen`` and ``ticking``: the time of a test's body."""

from __future__ import annotations

import functools
import importlib
import unittest
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fieldstone.testing.around import Around, Decorated
from fieldstone.testing.clock import databases
from fieldstone.testing.clock.moments import Moment, aware, local, read

if TYPE_CHECKING:
    from time_machine import Traveller

__tracebackhide__ = True  # pytest: errors are shown at the line of the test

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEITHER_UTC_NOR_NAMED = timezone(timedelta(hours=-1))
"""In UTC or a named time zone, time-machine would make that the process' own."""
UNITS = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds")


class Clock:
    """The time that code under test sees, to be moved by the test. ``frozen`` and ``ticking`` give one.

    Once its body has ended, ``now`` is the moment when it did, and all else raises ``RuntimeError``.
    """

    def __init__(self, moment: datetime | None, *, ticks: bool) -> None:
        start = datetime.now(UTC) if moment is None else aware(moment)
        self._travel = _time_machine().travel(_destination(start), tick=ticks)
        self._traveller: Traveller | None = self._travel.start()
        self._ended = start
        self._leads_databases = False
        self._ticks = ticks
        _active.append(self)
        if moment is not None or not ticks:
            self._lead_databases()

    def __repr__(self) -> str:
        return f"<Clock: {self.now}>"

    @property
    def now(self) -> datetime:
        """Aware, in Django's current time zone: so ``now.date()`` is the day that a text named."""
        if self._traveller is None:
            return local(self._ended)
        return local(EPOCH + timedelta(microseconds=self._traveller.time_ns() // 1000))

    def move(self, by: timedelta | None = None, /, **units: float) -> None:
        """Go on, ``move(days=31)``, or back, ``move(hours=-1)``, or by a timedelta; run or stand as before."""
        way = _way(by, units)
        traveller = self._active()
        _destination(self.now + way)  # raises where there is no such year
        traveller.shift(way)

    def move_to(self, moment: Moment) -> None:
        """Go to a moment. It runs or stands as before."""
        self._active().move_to(_destination(aware(read(moment))))

    def tick(self, moment: Moment | None = None) -> None:
        """Run on, from the moment where it is or from this one."""
        self._go_on(moment, ticks=True)

    def freeze(self, moment: Moment | None = None) -> None:
        """Stand, at the moment where it is or at this one."""
        self._go_on(moment, ticks=False)

    def _go_on(self, moment: Moment | None, *, ticks: bool) -> None:
        traveller = self._active()
        start = self.now if moment is None else aware(read(moment))
        traveller.move_to(_destination(start), tick=ticks)
        self._ticks = ticks

    def _active(self) -> Traveller:
        if self._traveller is None:
            raise RuntimeError("This clock has ended, and time is real again: use it within its body.")
        self._lead_databases()
        return self._traveller

    def _lead_databases(self) -> None:
        """Not as long as it runs at real time: then they have it anyway."""
        if not self._leads_databases:
            self._leads_databases = True
            databases.begin()

    def _end(self) -> None:
        self._ended = self.now
        self._traveller = None
        _active.remove(self)
        try:
            if self._leads_databases:
                databases.end()
        finally:
            self._travel.stop()


_active: list[Clock] = []
"""The innermost last."""


def is_set() -> bool:
    """Whether a clock holds."""
    return bool(_active)


class _Held(Around[Clock]):
    ticks: bool

    def __init__(self, moment: Moment | None = None) -> None:
        self._moment = None if moment is None else read(moment)
        self._clocks: list[Clock] = []

    def __enter__(self) -> Clock:
        clock = Clock(self._moment, ticks=self.ticks)
        self._clocks.append(clock)
        return clock

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clocks.pop()._end()

    def _anew(self) -> _Held:
        anew = super()._anew()
        anew._clocks = []
        return anew

    def __call__(self, decorated: Decorated) -> Decorated:
        if isinstance(decorated, type) and issubclass(decorated, unittest.TestCase):
            _hold_tests(decorated, self)
            return decorated
        return super().__call__(decorated)


class frozen(_Held):
    """Time stands still at a moment, or now: of Python, of Django, and of the databases as far as they let it.

    ``with frozen("2026-03-01 12:00") as clock: ...``, ``async with``, or a decorator. Of a ``TestCase`` class it
    holds for each test with its ``setUp`` and ``tearDown``, and for ``setUpTestData``; of other classes for the
    methods that begin with ``test``. In one another, the innermost counts.

    - Python: ``datetime.now``, ``timezone.now``, ``date.today``, ``time.time`` and the like, however they were
      imported, and so ``auto_now``, ``auto_now_add`` and defaults. Not ``time.monotonic``, by which timeouts go.
      Every thread sees it.
    - ``Now()`` in queries and as a ``db_default``, when Django saves: on SQLite, PostgreSQL, MariaDB and MySQL.
    - SQL that Django did not write, and defaults of columns that were left out of it: on MariaDB and MySQL
      (``CURRENT_TIMESTAMP``, ``NOW()``; from 1970 to 2038; not ``SYSDATE()``) and on SQLite (in thousandths of a
      second). PostgreSQL has its server's time there: nobody can set it.

    Migrations that run in it write their defaults as ever.

    Raises ``ValueError`` or ``TypeError`` for what is no ``Moment``, and ``ImportError`` without time-machine.
    """

    ticks = False


class ticking(_Held):
    """Time runs, from a moment or from now; else as ``frozen``. At real time the databases are left alone."""

    ticks = True


class following(_Held):
    """Time as it was: it runs at real time, or as the clock around it runs or stands, until it is changed."""

    def __enter__(self) -> Clock:
        self.ticks = _active[-1]._ticks if _active else True  # else a clock that stands would run
        return super().__enter__()


def _hold_tests(case: type[unittest.TestCase], held: _Held) -> None:
    """In what runs a test with its ``setUp``. A subclass may be decorated, too: its own clock counts for it."""
    clock = "_fieldstone_clock"
    setattr(case, clock, held)

    def holding(method: Callable[..., Any], subject: Callable[[Any], Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def held_method(self: Any, *args: Any, **kwargs: Any) -> Any:
            with getattr(subject(self), clock)._anew():
                return method(self, *args, **kwargs)

        return held_method

    for name in ("run", "debug"):
        setattr(case, name, holding(getattr(case, name), type))
    set_up_class: Any = case.setUpClass
    setattr(case, "setUpClass", classmethod(holding(set_up_class.__func__, lambda cls: cls)))  # noqa: B010


def _destination(moment: datetime) -> datetime:
    return moment.astimezone(NEITHER_UTC_NOR_NAMED)


def _way(by: object, units: dict[str, float]) -> timedelta:
    if by is None and units and set(units) <= set(UNITS):
        return timedelta(**units)
    if isinstance(by, timedelta) and not units:
        return by
    given = [repr(by)] if by is not None else []
    given += [f"{name}={value!r}" for name, value in units.items()]
    raise TypeError(
        f"move({', '.join(given)}) does not say how far. Give a timedelta, or some of {', '.join(UNITS)}: "
        "move(days=31), or move(hours=-1) for back. For a date of the calendar: move_to(...)."
    )


@functools.cache
def _time_machine() -> Any:
    """Imported only when used: it is optional, and it imports pytest."""
    try:
        return importlib.import_module("time_machine")
    except ImportError as error:
        raise ImportError("The clock needs time-machine: pip install 'fieldstone[testing]'") from error
