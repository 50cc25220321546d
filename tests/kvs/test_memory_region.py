"""What ``MemoryRegion`` keeps, and for how long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from fieldstone.errors import InvalidValueError
from fieldstone.kvs import MemoryRegion
from fieldstone.values import MISSING


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def deeply(value: object) -> object:
    for _ in range(100_000):
        value = [value]
    return value


def test_a_value_that_was_set_is_there_and_none_is_one():
    region = MemoryRegion()
    region.set("a", None)
    assert region.get("a") is None
    assert region.get("b") is MISSING
    assert region.get("b", 1) == 1


def test_what_goes_in_and_comes_out_is_a_copy():
    region, value = MemoryRegion(), {"a": [1]}
    region.set("key", value)
    value["a"].append(2)
    region.get("key")["a"].append(3)
    assert region.get("key") == {"a": [1]}


def test_a_value_expires_when_its_time_is_up_and_not_before():
    clock = Clock()
    region = MemoryRegion(clock=clock)
    region.set("short", 1, ttl=10)
    region.set("long", 2)
    clock.now = 9.9
    assert region.get("short") == 1
    clock.now = 10
    assert region.get("short") is MISSING
    assert not region.delete("short")
    assert region.get("long") == 2


def test_a_value_without_time_left_is_not_kept():
    region = MemoryRegion(clock=Clock())
    region.set("a", 1, ttl=0)
    assert region.get("a") is MISSING


def test_of_an_expired_value_delete_says_that_there_was_none():
    clock = Clock()
    region = MemoryRegion(clock=clock)
    region.set("a", 1, ttl=10)
    clock.now = 10
    assert not region.delete("a")


def test_an_expired_value_that_was_looked_for_makes_room():
    clock = Clock()
    region = MemoryRegion(max_bytes=30, clock=clock)
    region.set("a", "x" * 7)
    region.set("b", "x" * 7, ttl=10)
    clock.now = 10
    assert region.get("b") is MISSING
    region.set("c", "x" * 17)
    assert region.get("a") == "x" * 7


def test_setting_a_value_again_starts_its_time_again():
    clock = Clock()
    region = MemoryRegion(clock=clock)
    region.set("a", 1, ttl=10)
    clock.now = 9
    region.set("a", 2, ttl=10)
    clock.now = 18
    assert region.get("a") == 2


def test_delete_says_whether_there_was_a_value():
    region = MemoryRegion()
    region.set("a", 1)
    assert region.delete("a")
    assert not region.delete("a")


def test_the_longest_unused_make_room():
    region = MemoryRegion(max_bytes=30)
    for key in "abc":
        region.set(key, "x" * 7)  # ten bytes with its key and quotes
    region.get("a")
    region.set("d", "x" * 7)
    assert [key for key in "abcd" if region.get(key) is MISSING] == ["b"]


def test_a_region_holds_all_the_bytes_that_it_may_and_keys_count_in_utf_8():
    region = MemoryRegion(max_bytes=30)
    region.set("a", "x" * 27)
    assert region.get("a") == "x" * 27
    with pytest.raises(InvalidValueError):
        region.set("ŭ", "x" * 27)


@pytest.mark.parametrize("value", ["x" * 40, {1, 2}, deeply([])], ids=["too large", "no JSON", "too deep"])
def test_what_cannot_be_kept_is_refused_and_what_was_there_stays(value):
    region = MemoryRegion(max_bytes=30)
    region.set("a", 1)
    with pytest.raises(InvalidValueError):
        region.set("a", value)
    assert region.get("a") == 1


def test_threads_share_a_region_and_its_size_stays_right():
    region = MemoryRegion(max_bytes=2_000)

    def work(thread: int) -> None:
        for number in range(500):
            key = f"{number % 50}"
            region.set(key, f"{thread}-{number}")
            region.get(key)
            if number % 7 == 0:
                region.delete(key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    kept = [(key, value) for key in map(str, range(50)) if (value := region.get(key)) is not MISSING]
    assert region._bytes == sum(len(key) + len(value) + 2 for key, value in kept) <= 2_000
