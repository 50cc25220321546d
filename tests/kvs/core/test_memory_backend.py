"""How long the memory backend keeps entries, and how many."""

from __future__ import annotations

import pytest

from fieldstone.errors import InvalidEntryError, NotFound
from fieldstone.kvs import Region
from tests.kvs.workers import in_threads


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def region(clock):
    return Region("m").configure("memory", clock=clock)


def sized(max_bytes: int) -> Region:
    """An entry of a one-letter key takes 3 for its name, 9 for its head and 1 more than a short text is long."""
    return Region("m").configure("memory", max_bytes=max_bytes)


def test_a_value_expires_when_its_time_is_up_and_not_before(region, clock):
    region.set("short", 1, ttl=10.5)
    region.set("long", 2)
    clock.now += 10.4
    assert region.get("short") == 1
    clock.now += 0.1
    assert region.get("short", None) is None
    with pytest.raises(NotFound):
        region.delete("short")
    assert region.get("long") == 2


def test_of_an_expired_value_delete_says_that_there_was_none(region, clock):
    region.set("a", 1, ttl=10)
    clock.now += 10
    assert region.delete_multi(["a"]) == 0


def test_setting_a_value_again_starts_its_time_again(region, clock):
    region.set("a", 1, ttl=10)
    clock.now += 9
    region.set("a", 2, ttl=10)
    clock.now += 9
    assert region.get("a") == 2


def test_counting_keeps_the_time_and_touching_gives_another(region, clock):
    region.set("a", 1, ttl=10)
    region.set("b", 1, ttl=10)
    clock.now += 9
    region.incr("a")
    region.touch("b", ttl=10)
    clock.now += 1
    assert region.get_multi(["a", "b"], None) == [None, 1]


def test_the_longest_unused_make_room():
    region = sized(60)
    for key in "abc":
        region.set(key, "x" * 7)  # 20 bytes
    region.get("a")
    region.set("d", "x" * 7)
    assert [key for key in "abcd" if region.get(key, None) is None] == ["b"]


def test_looking_for_keys_is_no_use_of_them():
    region = sized(60)
    for key in "abc":
        region.set(key, "x" * 7)
    assert set(region.keys()) == {"a", "b", "c"}
    region.set("d", "x" * 7)
    assert region.get("a", None) is None


def test_an_expired_value_that_was_looked_for_makes_room(clock):
    region = Region("m").configure("memory", max_bytes=60, clock=clock)
    region.set("a", "x" * 7)
    region.set("b", "x" * 7, ttl=10)
    clock.now += 10
    assert region.get("b", None) is None
    region.set_multi({"c": "x" * 7, "d": "x" * 7})
    assert region.get("a") == "x" * 7


def test_a_value_larger_than_the_region_is_refused_and_what_was_there_stays():
    region = sized(60)
    region.set("a", 1)
    with pytest.raises(InvalidEntryError, match="60 are allowed"):
        region.set("a", "x" * 60)
    assert region.get("a") == 1


def test_the_size_stays_right_under_threads():
    region = sized(2_000)

    def work(thread: int) -> None:
        for number in range(300):
            key = f"{number % 50}"
            region.set(key, f"{thread}-{number}")
            region.get(key, None)
            if number % 7 == 0:
                region.delete(key, missing_ok=True)

    in_threads(8, work)
    backend = region.backend
    kept = {name: backend.get(name) for name in backend.scan("", None, 1000)[0]}
    assert backend._bytes == sum(len(name) + len(entry) for name, entry in kept.items()) <= 2_000


def test_locks_that_nobody_holds_or_waits_for_take_no_room(region, clock):
    for number in range(10):
        with region.lock(f"key{number}"):
            pass
    assert region.backend._locks == {}


def test_the_fence_grows_though_the_clock_of_the_machine_goes_back(region, monkeypatch):
    with region.lock("key") as first:
        before = first.fence
    monkeypatch.setattr("time.time_ns", lambda: 5)
    with region.lock("key") as second:
        assert second.fence == before + 1
