"""Calls that read and write at once, and those that a backend says it has not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

import pytest

from fieldstone.errors import InvalidEntryError, NotFound, UnsupportedError
from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import Make, OnRegions, needs
from fieldstone.testing.contracts.workers import in_threads

VERSION = bytes(8)
CALLS: dict[str, Callable[[Region], object]] = {
    "add": lambda region: region.add("key", 2),
    "incr": lambda region: region.incr("key"),
    "compare_and_set": lambda region: region.compare_and_set("key", 2, VERSION),
    "touch": lambda region: region.touch("key", ttl=5),
    "iterate": lambda region: (list(region.keys()), region.clear()),
}


class AtomicCalls(OnRegions):
    """Calls that read and write at once, and those that a backend says it has not."""

    @pytest.mark.parametrize("ability", CALLS)
    def test_what_a_backend_can_do_is_done_and_what_it_cannot_is_told_and_touches_nothing(
        self, region: Region, ability: str
    ) -> None:
        region.set("key", 1)
        if getattr(region.abilities, ability):
            CALLS[ability](region)
            return
        with pytest.raises(UnsupportedError) as refused:
            CALLS[ability](region)
        assert refused.value.what == ability
        assert region.get("key") == 1

    def test_add_keeps_a_value_only_where_there_is_none(self, region: Region) -> None:
        needs(region, "add")
        assert region.add("key", None) is True
        assert region.add("key", 2) is False
        assert region.get("key") is None
        region.delete("key")
        assert region.add("key", 3, ttl=self.brief) is True
        self.eventually(lambda: region.add("key", 4))
        assert region.get("key") == 4

    def test_of_threads_that_add_one_key_one_does(self, region: Region) -> None:
        needs(region, "add")
        for key in map(str, range(5)):
            added = in_threads(8, partial(region.add, key))
            assert added.count(True) == 1
            assert region.get(key) == added.index(True)

    def test_counting_begins_where_it_is_told_and_goes_both_ways(self, region: Region) -> None:
        needs(region, "incr")
        assert region.incr("key") == 1
        assert region.incr("key", 10) == 11
        assert region.incr("key", -20) == -9
        assert region.get("key") == -9
        assert region.incr("other", 5, initial=100) == 105
        region.set("set", 41)
        assert region.incr("set") == 42
        assert region.get("set") == 42

    @pytest.mark.parametrize(
        "start, by", [(2**63 - 2, 1), (-(2**63) + 1, -1), (2**63 - 1, 0), (-(2**63), 2**63 - 1)]
    )
    def test_counting_goes_to_the_ends_of_64_bits(self, region: Region, start: int, by: Any) -> None:
        needs(region, "incr")
        region.set("key", start)
        assert region.incr("key", by) == start + by
        assert region.get("key") == start + by
        assert region.incr("new", by, initial=start) == start + by
        assert region.get("new") == start + by

    @pytest.mark.parametrize("start, by", [(2**63 - 1, 1), (-(2**63), -1), (2**62, 2**62), (-2, -(2**63) + 1)])
    def test_counting_beyond_64_bits_is_refused_and_changes_nothing(
        self, region: Region, start: int, by: Any
    ) -> None:
        needs(region, "incr")
        region.set("key", start)
        with pytest.raises(InvalidEntryError):
            region.incr("key", by)
        assert region.get("key") == start
        with pytest.raises(InvalidEntryError):
            region.incr("new", by, initial=start)
        assert region.get("new", None) is None

    @pytest.mark.parametrize("value", ["5", 5.0, None, [5], 2**63, True], ids=repr)
    def test_what_is_no_integer_of_64_bits_is_not_counted(self, region: Region, value: Any) -> None:
        needs(region, "incr")
        region.set("key", value)
        with pytest.raises(InvalidEntryError):
            region.incr("key")
        assert region.get("key") == value

    @pytest.mark.parametrize("by", [1.0, "1", True, 2**63, None], ids=repr)
    def test_what_is_no_integer_of_64_bits_is_not_added(self, region: Region, by: Any) -> None:
        needs(region, "incr")
        region.set("key", 1)
        with pytest.raises(InvalidEntryError):
            region.incr("key", by)
        with pytest.raises(InvalidEntryError):
            region.incr("key", initial=by)
        assert region.get("key") == 1

    def test_counting_keeps_the_time_to_live(self, region: Region) -> None:
        needs(region, "incr")
        region.set("key", 1, ttl=self.brief)
        region.incr("key", ttl=1000)
        region.incr("new", ttl=self.brief)
        region.incr("new")
        region.set("long", 1, ttl=1000)
        region.incr("long", ttl=self.brief)
        self.eventually(lambda: region.get_multi(["key", "new"], None) == [None, None])
        assert region.get("long") == 2

    def test_threads_that_count_lose_nothing(self, region: Region) -> None:
        needs(region, "incr")
        sums = in_threads(8, lambda _: [region.incr("key") for _ in range(25)])
        assert sorted(chain.from_iterable(sums)) == list(range(1, 201))

    def test_a_value_is_replaced_only_by_who_knows_its_version(self, region: Region) -> None:
        needs(region, "compare_and_set")
        region.set("key", "a")
        first = region.get_with_version("key")
        assert first.value == "a"
        assert region.compare_and_set("key", "b", first.version) is True
        assert region.compare_and_set("key", "c", first.version) is False
        assert region.get("key") == "b"

    def test_the_same_value_written_again_is_another_version(self, region: Region) -> None:
        needs(region, "compare_and_set")
        for value in ("a", 5):
            region.set("key", value)
            first = region.get_with_version("key")
            region.set("key", "meanwhile")
            region.set("key", value)
            assert region.get_with_version("key").value == first.value
            assert region.compare_and_set("key", "b", first.version) is False
            assert region.get("key") == value

    def test_counting_is_another_version_too(self, region: Region) -> None:
        needs(region, "compare_and_set", "incr")
        region.set("key", 5)
        first = region.get_with_version("key")
        region.incr("key", 1)
        region.incr("key", -1)
        assert region.compare_and_set("key", 0, first.version) is False
        second = region.get_with_version("key")
        assert second.value == 5
        assert region.compare_and_set("key", 6, second.version) is True

    def test_a_missing_value_has_no_version_and_is_not_replaced(self, region: Region) -> None:
        needs(region, "compare_and_set")
        region.set("key", 1)
        version = region.get_with_version("key").version
        region.delete("key")
        with pytest.raises(NotFound):
            region.get_with_version("key")
        assert region.compare_and_set("key", 2, version) is False
        assert region.get("key", None) is None

    @pytest.mark.parametrize("version", [b"", b"1234567", "12345678", None])
    def test_what_is_no_version_is_refused(self, region: Region, version: Any) -> None:
        needs(region, "compare_and_set")
        region.set("key", 1)
        with pytest.raises(InvalidEntryError, match="no version"):
            region.compare_and_set("key", 2, version)
        assert region.get("key") == 1

    def test_of_threads_that_replace_one_version_one_does(self, region: Region) -> None:
        needs(region, "compare_and_set")
        region.set("key", 0)
        for _ in range(5):
            version = region.get_with_version("key").version
            replaced = in_threads(8, partial(region.compare_and_set, "key", version=version))
            assert replaced.count(True) == 1
            assert region.get("key") == replaced.index(True)

    def test_replacing_gives_a_time_to_live_of_its_own(self, region: Region) -> None:
        needs(region, "compare_and_set")
        region.set("key", 1)
        assert region.compare_and_set("key", 2, region.get_with_version("key").version, ttl=self.brief)
        self.eventually(lambda: region.get("key", None) is None)

    def test_touching_gives_another_time_to_live_and_leaves_the_value(self, region: Region) -> None:
        needs(region, "touch")
        region.set("longer", 1, ttl=self.brief)
        region.set("forever", 1, ttl=self.brief)
        region.set("shorter", 1, ttl=1000)
        region.set("kept", 1)
        region.touch("longer", ttl=1000)
        region.touch("forever")
        region.touch("shorter", ttl=self.brief)
        self.eventually(lambda: region.get("shorter", None) is None)
        assert region.get_multi(["longer", "forever", "kept"]) == [1, 1, 1]
        with pytest.raises(NotFound):
            region.touch("shorter")

    def test_keys_are_those_that_were_set_and_clearing_leaves_none(self, make: Make, region: Region) -> None:
        needs(region, "iterate")
        other = make()
        other.set("others", 1)
        wanted = {f"key{n}" for n in range(2_500)} | {"a*", "a_b", "a%b", "a[b]", "a\\b"}
        region.set_multi(dict.fromkeys(wanted, 1))
        with region.lock("key1"):
            assert set(region.keys()) == wanted
            assert set(region.keys(count=7)) == wanted
            assert region.clear() == len(wanted)
            assert list(region.keys()) == []
            assert region.lock("key1", blocking_timeout=0).mutex.locked()
        assert other.get("others") == 1
        assert region.clear() == 0

    def test_names_that_look_like_patterns_belong_to_their_region_alone(self, make: Make, region: Region) -> None:
        needs(region, "iterate")
        one, other = make(prefix=f"{region.name}*t"), make(prefix=f"{region.name}Xt")
        other.set("key", 1)
        assert list(one.keys()) == []
        assert one.clear() == 0
        assert other.get("key") == 1

    def test_expired_keys_are_no_keys(self, region: Region) -> None:
        needs(region, "iterate")
        region.set("short", 1, ttl=self.brief)
        region.set("long", 1)
        self.eventually(lambda: region.get("short", None) is None)
        assert list(region.keys()) == ["long"]
