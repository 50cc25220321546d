"""The clock: Python's time stands, runs and moves as a test says, and is real again after it."""

from __future__ import annotations

import datetime as datetimes
import subprocess
import sys
import time
import unittest
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from time import time as seconds
from zoneinfo import ZoneInfo

import pytest
from django.test import SimpleTestCase, override_settings
from django.utils import timezone
from django.utils.timezone import now
from hypothesis import given
from hypothesis import strategies as st

from fieldstone.testing.clock import Clock, frozen, ticking

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = "2001-09-09 01:46:40"
REAL = datetime.now(UTC) - timedelta(minutes=1)
"""Before all that is real."""


def is_real() -> bool:
    return REAL < datetime.now(UTC) < REAL + timedelta(hours=2)


@frozen("2026-03-01T12:00Z")
def test_every_way_to_ask_for_the_time_gives_the_clocks():
    assert now() == timezone.now() == NOON
    assert datetime.now(UTC) == datetimes.datetime.now(UTC) == NOON
    assert datetime.now(ZoneInfo("Asia/Tokyo")) == NOON
    assert datetimes.date.today() == timezone.localdate() == date(2026, 3, 1)
    assert time.time() == seconds() == NOON.timestamp()
    assert time.time_ns() == int(NOON.timestamp()) * 10**9
    assert time.gmtime()[:5] == (2026, 3, 1, 12, 0)


def test_every_thread_sees_the_time():
    seen = []
    with frozen("2026-03-01T12:00Z"):
        thread = Thread(target=lambda: seen.append(now()))
        thread.start()
        thread.join()
    assert seen == [NOON]


def test_a_frozen_clock_goes_only_where_it_is_moved():
    with frozen("2026-03-01T12:00Z") as clock:
        assert timezone.now() == timezone.now() == clock.now == NOON
        clock.move(days=31)
        assert timezone.now() == clock.now == NOON + timedelta(days=31)
        clock.move(hours=-1, minutes=30)
        assert timezone.now() == NOON + timedelta(days=31, minutes=-30)
        clock.move(timedelta(days=-31))
        assert timezone.now() == NOON - timedelta(minutes=30)
        clock.move_to("1999-12-31T23:59:59.999999Z")
        assert timezone.now() == clock.now == datetime(1999, 12, 31, 23, 59, 59, 999999, UTC)


def test_a_ticking_clock_runs_on_from_its_moment():
    with ticking("2026-03-01T12:00Z") as clock:
        first = timezone.now()
        while timezone.now() == first:
            pass
        assert NOON <= first < timezone.now() < NOON + timedelta(minutes=1)
        clock.move(days=-1)
        assert NOON <= timezone.now() + timedelta(days=1) < NOON + timedelta(minutes=1)
        moved = timezone.now()
        while timezone.now() == moved:
            pass


def test_a_clock_changes_between_running_and_standing_and_keeps_the_moment():
    with frozen("2026-03-01T12:00Z") as clock:
        clock.tick()
        while timezone.now() == NOON:
            pass
        clock.freeze()
        stopped = timezone.now()
        assert NOON < stopped == clock.now == timezone.now() < NOON + timedelta(minutes=1)


def test_a_clock_changes_between_running_and_standing_at_a_moment():
    with ticking() as clock:
        clock.freeze("2026-03-01T12:00Z")
        assert timezone.now() == timezone.now() == NOON
        clock.tick("2026-03-01T12:00Z")
        while timezone.now() == NOON:
            pass
        assert clock.now > NOON


@pytest.mark.parametrize("held", [frozen, ticking])
def test_without_a_moment_a_clock_begins_now(held: type[frozen]):
    with held() as clock:
        assert is_real()
        assert clock.now > REAL
    with frozen("2026-03-01T12:00Z"), frozen() as inner:
        assert inner.now == NOON


def test_the_outer_clock_is_back_after_the_inner():
    with frozen("2026-03-01T12:00Z") as outer:
        with frozen(LONG_AGO) as inner:
            inner.move(days=1)
            outer.move(hours=1)
            assert timezone.now() == inner.now != outer.now
        assert timezone.now() == outer.now == NOON + timedelta(hours=1)
    assert is_real()


def test_one_object_holds_for_one_body_in_another():
    held = frozen("2026-03-01T12:00Z")
    with held as outer:
        with held as inner:
            inner.move(days=1)
        assert timezone.now() == outer.now == NOON
    assert is_real()


def test_real_time_returns_when_the_body_raises():
    with pytest.raises(KeyError), frozen(LONG_AGO):
        raise KeyError
    assert is_real()
    with pytest.raises(KeyError):
        frozen(LONG_AGO)({}.__getitem__)("missing")
    assert is_real()


def test_an_ended_clock_says_when_it_ended_and_moves_no_more():
    with frozen(NOON) as clock:
        clock.move(days=1)
    assert clock.now == NOON + timedelta(days=1)
    for use in (lambda: clock.move(days=1), lambda: clock.move_to(NOON), clock.tick, clock.freeze):
        with pytest.raises(RuntimeError, match="This clock has ended, and time is real again"):
            use()
    assert repr(clock) == "<Clock: 2026-03-02 12:00:00+00:00>"


@pytest.mark.parametrize(
    ("moment", "meant"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo")), datetime(2026, 3, 1, 3, tzinfo=UTC)),
        (datetime(2026, 3, 1, 12), datetime(2026, 3, 1, 18, tzinfo=UTC)),
        (date(2026, 3, 1), datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("2026-07-01 12:00", datetime(2026, 7, 1, 17, tzinfo=UTC)),
        ("2026-03-01 12:00:00.000001", datetime(2026, 3, 1, 18, 0, 0, 1, UTC)),
        ("2026-03-01T12:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_moment_without_a_time_zone_is_in_djangos_current_one(moment: object, meant: datetime):
    with timezone.override("America/Chicago"), frozen(moment) as clock:
        assert timezone.now() == clock.now == meant
        assert str(clock.now.tzinfo) == "America/Chicago"
        clock.move_to("2000-01-01")
        assert clock.now.date() == date(2000, 1, 1)
        clock.freeze(moment)
        assert timezone.now() == meant


def test_the_time_zone_counts_that_is_current_when_the_clock_begins():
    held = frozen("2026-03-01 12:00")
    with timezone.override("Asia/Tokyo"), held:
        assert timezone.now() == datetime(2026, 3, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["America/Chicago", "Asia/Tokyo"])
def test_without_use_tz_a_moment_is_what_timezone_now_then_gives(zone: str):
    with override_settings(USE_TZ=False, TIME_ZONE=zone), frozen("2026-07-01 12:00") as clock:
        assert timezone.now() == datetime.now() == datetime(2026, 7, 1, 12)
        assert clock.now == datetime(2026, 7, 1, 12, tzinfo=ZoneInfo(zone))
        assert clock.now.hour == 12


@pytest.mark.parametrize("moment", [NOON, NOON.astimezone(ZoneInfo("Asia/Tokyo")), "2026-03-01T12:00Z"])
def test_the_time_zone_of_the_process_stays_as_it_is(moment: object):
    before = time.strftime("%z", time.localtime(0)), time.tzname
    with frozen(moment):
        assert (time.strftime("%z", time.localtime(0)), time.tzname) == before


@given(st.datetimes(datetime(1902, 1, 1), datetime(2200, 1, 1)), st.timedeltas(timedelta(-9999), timedelta(9999)))
def test_a_moment_is_kept_to_the_microsecond(moment: datetime, way: timedelta):
    moment = moment.replace(tzinfo=UTC)
    with frozen(moment) as clock:
        assert timezone.now() == clock.now == moment
        clock.move(way)
        assert timezone.now() == clock.now == moment + way


@pytest.mark.parametrize(
    ("nonsense", "kind", "words"),
    [
        (
            "tomorrow",
            ValueError,
            "'tomorrow' is not a moment: Invalid isoformat string: 'tomorrow'. Give a datetime",
        ),
        ("2026-02-30", ValueError, "'2026-02-30' is not a moment: day is out of range for month. Give a datetime"),
        ("", ValueError, "'' is not a moment"),
        (
            1772366400,
            TypeError,
            "1772366400 is not a moment, but of type int. Give a datetime, a date, or ISO text",
        ),
        (timedelta(1), TypeError, "but of type timedelta.*To go some way from now: clock.move\\(days=1\\)."),
    ],
)
def test_what_is_no_moment_is_refused_where_it_is_written(nonsense: object, kind: type[Exception], words: str):
    with pytest.raises(kind, match=words):
        frozen(nonsense)
    with ticking(NOON) as clock:
        for use in (clock.move_to, clock.tick, clock.freeze):
            with pytest.raises(kind, match=words):
                use(nonsense)
        assert clock.now.date() == NOON.date()


@pytest.mark.parametrize(
    ("args", "units", "said"),
    [
        ([], {}, "move() does not say how far"),
        ([5], {}, "move(5) does not say how far"),
        ([], {"months": 1}, "move(months=1) does not say how far"),
        ([timedelta(1)], {"days": 1}, "move(datetime.timedelta(days=1), days=1) does not say how far"),
    ],
)
def test_a_move_says_how_far(args: list[object], units: dict[str, float], said: str):
    with frozen(NOON) as clock, pytest.raises(TypeError) as caught:
        clock.move(*args, **units)
    assert str(caught.value) == (
        f"{said}. Give a timedelta, or some of weeks, days, hours, minutes, seconds, milliseconds, microseconds: "
        "move(days=31), or move(hours=-1) for back. For a date of the calendar: move_to(...)."
    )


def test_there_is_no_year_ten_thousand():
    with frozen("9999-12-31") as clock:
        with pytest.raises(OverflowError):
            clock.move(days=2)
        assert clock.now.date() == date(9999, 12, 31)


@frozen("2026-03-01")
class Decorated(unittest.TestCase):
    """Run by the test below, with what the days were."""

    __test__ = False

    days: list[tuple[str, date]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.days = [("setUpClass", date.today())]

    def setUp(self) -> None:
        self.addCleanup(lambda: self.days.append(("cleanup", date.today())))
        self.days.append(("setUp", date.today()))

    def runTest(self) -> None:
        self.days.append(("test", date.today()))

    def tearDown(self) -> None:
        self.days.append(("tearDown", date.today()))


@frozen("2026-04-01")
class DecoratedAgain(Decorated):
    @frozen("2026-05-01")
    def runTest(self) -> None:
        super().runTest()


@pytest.mark.parametrize(("case", "day", "in_test"), [(Decorated, 3, 3), (DecoratedAgain, 4, 5)])
def test_a_clock_of_a_testcase_class_holds_for_its_setup_too(case: type[Decorated], day: int, in_test: int):
    result = unittest.TestSuite([case()]).run(unittest.TestResult())
    assert result.wasSuccessful()
    expected = {"setUpClass": day, "setUp": day, "test": in_test, "tearDown": day, "cleanup": day}
    assert case.days == [(name, date(2026, month, 1)) for name, month in expected.items()]
    assert is_real()


class OfDjango(SimpleTestCase):
    def setUp(self) -> None:
        self.clock: Clock = self.enterContext(frozen("2026-03-01"))

    def test_a_clock_is_a_context_of_unittest(self) -> None:
        self.clock.move(days=1)
        self.assertEqual(timezone.localdate(), date(2026, 3, 2))

    @frozen("2026-04-01")
    async def test_a_clock_decorates_an_async_test_of_django(self) -> None:
        self.assertEqual(timezone.localdate(), date(2026, 4, 1))

    async def test_a_clock_holds_in_async_with(self) -> None:
        async with frozen("2026-05-01") as clock:
            self.assertEqual(timezone.localdate(), date(2026, 5, 1))
            clock.move(days=1)
            self.assertEqual(timezone.localdate(), date(2026, 5, 2))
        self.assertEqual(timezone.localdate(), date(2026, 3, 1))


@frozen("2026-03-01")
class TestDecoratedForPytest:
    def test_a_clock_of_another_class_holds_for_its_tests(self):
        assert timezone.localdate() == date(2026, 3, 1)


def test_importing_the_clock_needs_neither_settings_nor_time_machine_and_using_it_says_what_to_install():
    code = """
import sys
sys.modules["time_machine"] = None  # as where it is not installed
from fieldstone.testing.clock import frozen
from django.conf import settings
assert not settings.configured
assert not {"pytest", "hypothesis", "_time_machine"} & set(sys.modules)
with frozen("2026-03-01"):
    pass
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.endswith("ImportError: The clock needs time-machine: pip install 'fieldstone[testing]'\n")


def test_without_settings_a_moment_without_a_time_zone_is_in_utc():
    code = """
from datetime import UTC, datetime
from fieldstone.testing.clock import frozen
with frozen("2026-03-01") as clock:
    print(datetime.now(UTC), clock.now)
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=True, env={"TZ": "Asia/Tokyo"},
    )  # fmt: skip
    assert run.stdout == "2026-03-01 00:00:00+00:00 2026-03-01 00:00:00+00:00\n"
