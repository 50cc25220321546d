"""A server that is down, dies, or hangs: what callers hear, and how soon."""

from __future__ import annotations

import asyncio
import inspect
import time

import pytest

from fieldstone.errors import NotFound, ServiceUnavailable
from tests.kvs.backends import needs_time
from tests.kvs.workers import Background, eventually, in_loop

pytestmark = needs_time

BOUND = 15.0
"""Seconds that no call may take, on any machine; the timeouts are tenths."""
HASTY = {"breaker_failures": 10**6}  # so that each call is tried

READING = {
    "get": lambda r: r.get("key"),
    "get_multi": lambda r: r.get_multi(["key"]),
    "get in a namespace": lambda r: r.namespace("n").get("key"),
    "aget": lambda r: r.aget("key"),
    "aget_multi": lambda r: r.aget_multi(["key"]),
}
WRITING = {
    "set": lambda r: r.set("key", 1),
    "set_multi": lambda r: r.set_multi({"key": 1}),
    "set in a namespace": lambda r: r.namespace("n").set("key", 1),
    "delete": lambda r: r.delete("key", missing_ok=True),
    "delete_multi": lambda r: r.delete_multi(["key"]),
    "aset": lambda r: r.aset("key", 1),
    "aset_multi": lambda r: r.aset_multi({"key": 1}),
    "adelete": lambda r: r.adelete("key", missing_ok=True),
}
CREATING = {
    "get_or_create": lambda r: r.get_or_create("key", lambda: "made"),
    "get_or_create in a namespace": lambda r: r.namespace("n").get_or_create("key", lambda: "made"),
    "aget_or_create": lambda r: r.aget_or_create("key", lambda: "made"),
}
KNOWING = {
    "add": lambda r: r.add("key", 1),
    "incr": lambda r: r.incr("key"),
    "compare_and_set": lambda r: r.compare_and_set("key", 1, bytes(8)),
    "invalidate": lambda r: r.namespace("n").invalidate(),
    "lock": lambda r: r.lock("key", blocking_timeout=0.1).acquire(),
    "aadd": lambda r: r.aadd("key", 1),
    "aincr": lambda r: r.aincr("key"),
    "alock": lambda r: r.lock("key", blocking_timeout=0.1).aacquire(),
}
ALL = READING | WRITING | CREATING | KNOWING


def result_of(call, region):
    """Of a function or of a coroutine."""
    given = call(region)
    if not inspect.isawaitable(given):
        return given

    async def awaited():
        try:
            return await given
        finally:
            await region.aclose()

    return in_loop(awaited())


def assert_told(call, region):
    """It raises our own error, of no class of a driver, within the bound."""
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="does not answer") as told:
        result_of(call, region)
    assert time.monotonic() - began < BOUND
    assert {base.__module__.partition(".")[0] for base in type(told.value).__mro__} <= {"fieldstone", "builtins"}
    assert told.value.region == region.name


def test_a_server_that_is_down_is_told_by_every_call(faulty):
    region = faulty(**HASTY)
    for call in ALL.values():
        assert_told(call, region)


def test_a_region_that_fails_open_reads_misses_and_writes_nothing_while_its_server_is_down(faulty):
    region = faulty(**HASTY, fail="open")
    for call in READING.values():
        with pytest.raises(NotFound):
            result_of(call, region)
    assert region.get("key", 5) == 5
    assert region.get_multi(["a", "b"], 5) == [5, 5]
    for call in WRITING.values():
        assert result_of(call, region) in (None, 0)
    for call in CREATING.values():
        assert result_of(call, region) == "made"
    with pytest.raises(NotFound):
        region.touch("key")
    for call in KNOWING.values():
        assert_told(call, region)


def test_a_server_that_dies_is_told_and_one_that_returns_is_used(server, faulty):
    server.start()
    region = faulty(**HASTY)
    region.set("key", 1)
    assert region.get("key") == 1
    server.kill()
    for call in ALL.values():
        assert_told(call, region)
    server.start()
    assert region.get("key", "forgotten") == "forgotten"
    region.set("key", 2)
    assert region.get("key") == 2
    assert result_of(READING["aget"], region) == 2


def test_a_server_that_hangs_is_told_within_the_timeouts_and_its_late_replies_go_to_nobody(server, faulty):
    server.start()
    region = faulty(**HASTY)
    region.set_multi({"key": "of key", "other": "of other"})
    server.pause()
    try:
        for name in ("get", "aget_multi", "set", "aset", "incr", "lock", "alock", "get_or_create"):
            assert_told(ALL[name], region)
    finally:
        server.resume()
    eventually(lambda: _answers(region))
    for _ in range(5):
        assert region.get("other") == "of other"

    async def read():
        found = await asyncio.gather(*(region.aget("other") for _ in range(5)))
        await region.aclose()
        return found

    assert in_loop(read()) == ["of other"] * 5


def _answers(region):
    try:
        return region.get("other") == "of other"
    except ServiceUnavailable:
        return False


def test_a_waiter_for_a_lock_hears_that_the_server_died(server, faulty):
    server.start()
    region = faulty(**HASTY)
    with pytest.raises(ServiceUnavailable), region.lock("key", timeout=60):
        waiting = Background(lambda: region.lock("key", blocking_timeout=BOUND).acquire())
        time.sleep(0.1)  # until it waits: nothing tells of that
        server.kill()
        with pytest.raises(ServiceUnavailable):
            waiting.result()


def test_what_a_block_raises_is_heard_rather_than_that_its_lock_could_not_be_released(server, faulty):
    server.start()
    region = faulty(**HASTY)
    with pytest.raises(KeyError), region.lock("key", timeout=60):
        server.kill()
        raise KeyError


def test_a_holder_learns_that_its_lock_cannot_be_renewed_any_more(server, faulty):
    server.start()
    region, lost = faulty(**HASTY), []
    lock = region.lock("key", timeout=1, renew=True, on_lost=lost.append).acquire()
    server.kill()
    eventually(lambda: lost)
    assert lost == [lock]
    assert lock.expired


@pytest.mark.parametrize("fail", ["open", "closed"])
def test_a_server_that_dies_while_a_value_is_created(server, faulty, fail):
    server.start()
    region = faulty(**HASTY, fail=fail)

    def create():
        server.kill()
        return "made"

    if fail == "open":
        assert region.get_or_create("key", create) == "made"
    else:
        with pytest.raises(ServiceUnavailable):
            region.get_or_create("key", create)


@pytest.fixture
def clock():
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.mark.parametrize("name", ["get", "aget"])
def test_a_breaker_opens_lets_one_trial_through_and_closes_again(server, faulty, clock, name):
    def call():
        return result_of({**READING}[name], region)

    region = faulty(breaker_failures=3, breaker_seconds=5)
    region._runner().breaker._clock = clock
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            call()
    assert (region.statistics.errors, region.statistics.refused) == (3, 0)
    for _ in range(4):
        with pytest.raises(ServiceUnavailable, match="several times in a row"):
            call()
    assert (region.statistics.errors, region.statistics.refused) == (3, 4)
    clock.now += 5.1
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            call()
    assert (region.statistics.errors, region.statistics.refused) == (4, 6)
    server.start()
    with pytest.raises(ServiceUnavailable):
        call()
    clock.now += 5.1
    with pytest.raises(NotFound):
        call()
    with pytest.raises(NotFound):
        call()
    assert (region.statistics.errors, region.statistics.refused) == (4, 7)
