"""The parts of regions by themselves: serializers, entries, statistics, the breaker."""

from __future__ import annotations

import contextlib
import math
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldstone.errors import BadSignatureError, LockNotHeldError
from fieldstone.kvs import KeyValueStoreLock, Region
from fieldstone.kvs.breaker import Breaker
from fieldstone.kvs.entries import VERSION, Codec, incremented, integer_entry, version_of
from fieldstone.kvs.serializers import JSONSerializer, MessagePackSerializer, SignedPickleSerializer
from fieldstone.kvs.statistics import BOUNDS, Statistics
from fieldstone.testing.contracts.regions.stateful import VALUES
from tests.kvs.workers import in_threads

ALL = [MessagePackSerializer(), JSONSerializer(), SignedPickleSerializer()]
each_serializer = pytest.mark.parametrize("serializer", ALL, ids=lambda serializer: type(serializer).__name__)


def test_no_two_serializers_have_one_letter():
    letters = {serializer.letter for serializer in ALL}
    assert len(letters) == 3
    assert all(letter.islower() and letter != b"i" for letter in letters)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_message_pack_gives_back_what_it_wrote(value):
    serializer = ALL[0]
    assert serializer.loads(serializer.dumps(value)) == value


@each_serializer
@given(st.binary(max_size=40))
@settings(max_examples=60, deadline=None)
def test_bytes_that_it_did_not_write_are_a_value_error_or_a_value(serializer, data):
    with contextlib.suppress(ValueError, BadSignatureError):
        serializer.loads(data)


@each_serializer
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_many_at_once_are_as_one_by_one(serializer, data):
    def outcome(read):
        try:
            return repr(read())  # NaN is not equal to itself
        except (ValueError, BadSignatureError):
            return "refused"

    assert outcome(lambda: serializer.loads_many(data)) == outcome(lambda: [serializer.loads(one) for one in data])


def test_a_pickle_is_signed_with_the_first_key_and_read_with_any(settings):
    serializer = ALL[2]
    settings.SECRET_KEY = "old"
    written = serializer.dumps({1, 2})
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]
    assert serializer.loads(written) == {1, 2}
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(BadSignatureError):
        serializer.loads(written)
    assert serializer.loads(serializer.dumps(datetime(2024, 1, 1, tzinfo=UTC))) == datetime(2024, 1, 1, tzinfo=UTC)


@given(VALUES, st.floats(0, 2**40) | st.just(math.inf), st.binary(min_size=8, max_size=8))
@settings(max_examples=60, deadline=None)
def test_an_entry_carries_its_value_its_version_and_its_fields(value, fresh_until, generation):
    codec = Codec(MessagePackSerializer())
    entry = codec.encode(value)
    assert codec.value(entry) == value
    assert codec.decode(entry) == (value, version_of(entry), math.inf, bytes(8))
    extended = codec.extended(entry, fresh_until, generation)
    assert codec.decode(extended) == (value, version_of(entry), fresh_until, generation)


def test_each_writing_has_a_version_of_its_own():
    codec = Codec(MessagePackSerializer())
    assert len({codec.encode(value)[VERSION] for value in ("a", 5) for _ in range(500)}) == 1000


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=60, deadline=None)
def test_counting_an_entry(number, by):
    codec, entry = Codec(MessagePackSerializer()), integer_entry(number)
    if not -(2**63) <= number + by < 2**63:
        with pytest.raises(ValueError, match="64 bits"):
            incremented(entry, by, 0)
        return
    for before in (entry, codec.extended(entry, 5.0, b"12345678")):
        after, total = incremented(before, by, 0)
        assert total == codec.value(after) == number + by
        assert version_of(after) != version_of(before)
        assert codec.decode(after)[2:] == codec.decode(before)[2:]


def test_what_a_region_does_is_counted():
    region = Region("counted").configure("memory")
    region.set("a", "text")
    region.set_multi({"b": 1, "c": 2})
    region.get("a")
    region.get("x", None)
    region.get_multi(["a", "b", "x"], None)
    region.delete_multi(["a", "x"])
    region.get_or_create("made", lambda: 1)
    counts = region.statistics.snapshot()
    assert (counts.hits, counts.writes, counts.deletes, counts.errors, counts.refused) == (3, 4, 2, 0, 0)
    assert counts.misses == 2 + 2  # who creates looks again once it has the lock
    assert counts.calls == sum(counts.buckets) == 9
    assert counts.bytes_written > 0 < counts.bytes_read
    assert counts.hit_ratio == 3 / 7
    region.statistics.reset()
    assert region.statistics.snapshot().hit_ratio is None


def test_counts_of_threads_are_not_lost():
    statistics = Statistics()
    in_threads(8, lambda _: [(statistics.read(1, 2, 3), statistics.called(0.002)) for _ in range(500)])
    counts = statistics.snapshot()
    assert (counts.hits, counts.misses, counts.bytes_read, counts.calls) == (4000, 8000, 12000, 4000)


def test_a_quantile_is_the_bound_that_so_many_stayed_under():
    statistics = Statistics()
    for _ in range(99):
        statistics.called(BOUNDS[0])
    statistics.called(100.0)
    counts = statistics.snapshot()
    assert counts.quantile(0.99) == BOUNDS[0]
    assert counts.quantile(1) == math.inf
    assert Statistics().snapshot().quantile(0.5) is None


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_breaker_counts_failures_in_a_row_only():
    breaker = Breaker("r", 3, 5, Clock())
    for _ in range(5):
        breaker.failed("down")
        breaker.failed("down")
        breaker.succeeded()
    assert not breaker.is_open and breaker.admits()
    for _ in range(3):
        breaker.failed("down")
    assert breaker.is_open


def test_of_threads_one_makes_the_trial():
    clock = Clock()
    breaker = Breaker("r", 1, 5, clock)
    breaker.failed("down")
    assert not any(in_threads(8, lambda _: breaker.admits()))
    clock.now = 5.0
    assert in_threads(8, lambda _: breaker.admits()).count(True) == 1
    breaker.succeeded()
    assert all(in_threads(8, lambda _: breaker.admits()))


def test_opening_and_closing_are_logged_once(caplog):
    breaker = Breaker("sessions", 2, 5, Clock())
    for _ in range(4):
        breaker.failed("down")
    breaker.succeeded()
    breaker.succeeded()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "sessions" in caplog.text


def test_a_wrapped_mutex_of_others_is_a_lock_too():
    lock = KeyValueStoreLock(threading.Lock(), "key")
    with lock as held:
        assert held is lock and lock.active and not lock.expired and lock.fence is None
    with pytest.raises(LockNotHeldError):
        lock.release()
    assert not KeyValueStoreLock(threading.Lock(), "key", locking_enabled=False).acquire().mutex.locked()
