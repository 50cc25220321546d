"""What a region keeps, and gives back, on every backend."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.conf import ENVIRONMENT_VARIABLE, settings

from fieldstone.errors import InvalidKeyError, NotFound, UnreadableEntryError
from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import Make, OnRegions, needs_manglers

VALUES: list[Any] = [
    None,
    False,
    0,
    -(2**63),
    2**63 - 1,
    2**63,
    -(10**40),
    1.5,
    -math.inf,
    "",
    "é\U0001f600\x00",
    b"",
    b"\x00\xff\r\n",
    [],
    {},
    {"a": [1, {"b": None}], 2: "two", b"c": b"d"},
    datetime(2024, 2, 29, 12, 30, 15, 123456, UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    "x" * 100_000,
]


def _refused(region: Region, key: str) -> Any:
    try:
        region.get(key, None)
    except InvalidKeyError:
        return True
    return False


class Values(OnRegions):
    """What a region keeps, and gives back, on every backend."""

    @pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
    def test_a_value_comes_back_as_it_was_set(self, region: Region, value: Any) -> None:
        region.set("key", value)
        found = region.get("key")
        assert found == value
        assert type(found) is type(value)

    def test_a_moment_comes_back_as_the_same_moment(self, region: Region) -> None:
        moment = datetime(2024, 2, 29, 12, 30, tzinfo=timezone(timedelta(hours=5, minutes=45)))
        region.set("key", moment)
        assert region.get("key") == moment

    def test_a_missing_key_is_told_by_its_name_unless_there_is_a_default(self, region: Region) -> None:
        with pytest.raises(NotFound) as missing:
            region.get("nothing")
        assert missing.value.target == "nothing"
        assert region.get("nothing", None) is None
        assert region.get("nothing", default=5) == 5

    def test_none_is_a_value(self, region: Region) -> None:
        region.set("key", None)
        assert region.get("key", default=5) is None
        assert region.get_multi(["key"], default=5) == [None]
        region.delete("key")
        assert region.get("key", default=5) == 5

    def test_what_goes_in_and_comes_out_is_a_copy(self, region: Region) -> None:
        value = {"a": [1]}
        region.set("key", value)
        region.set_multi({"other": value})
        value["a"].append(2)
        region.get("key")["a"].append(3)
        region.get_multi(["other"])[0]["a"].append(3)
        assert region.get("key") == region.get("other") == {"a": [1]}

    def test_many_values_come_in_the_order_of_their_keys(self, region: Region) -> None:
        region.set_multi({f"key{n}": n for n in range(50)})
        order = [f"key{n}" for n in (7, 49, 0, 7)]
        assert region.get_multi(order) == [7, 49, 0, 7]
        assert region.get_multi(iter(order)) == [7, 49, 0, 7]

    def test_all_keys_that_are_missing_are_named(self, region: Region) -> None:
        region.set("b", 1)
        with pytest.raises(NotFound) as missing:
            region.get_multi(["a", "b", "c"])
        assert missing.value.target == ["a", "c"]
        assert region.get_multi(["a", "b", "c"], default=0) == [0, 1, 0]

    def test_calls_with_no_keys_at_all_do_nothing(self, region: Region) -> None:
        assert region.get_multi([]) == []
        region.set_multi({})
        assert region.delete_multi([]) == 0

    def test_deleting_what_is_not_there_is_told_unless_that_is_all_right(self, region: Region) -> None:
        region.set("key", 1)
        region.delete("key")
        with pytest.raises(NotFound) as missing:
            region.delete("key")
        assert missing.value.target == "key"
        region.delete("key", missing_ok=True)

    def test_of_many_deletions_those_of_missing_keys_are_passed_over(self, region: Region) -> None:
        region.set_multi({"a": 1, "b": 2, "c": 3})
        region.delete_multi(["a", "c", "nothing"])
        assert region.get_multi(["a", "b", "c"], default=None) == [None, 2, None]

    def test_setting_replaces(self, region: Region) -> None:
        region.set("key", "long" * 1000)
        region.set("key", 1)
        assert region.get("key") == 1
        region.set_multi({"key": 2})
        assert region.get("key") == 2

    def test_keys_of_a_call_expire_in_their_time_and_others_in_that_of_their_region(self, make: Make) -> None:
        """Fractions of seconds and infinity are times to live."""
        region, hasty = make(), make(ttl=self.brief)
        region.set("own", 1, ttl=self.brief)
        region.set("kept", 1)
        region.set("long", 1, ttl=1000.5)
        hasty.set("regions", 1)
        hasty.set_multi({"many": 1})
        hasty.set("own", 1, ttl=1000)
        hasty.set("forever", 1, ttl=math.inf)
        assert region.get("own") == 1
        assert hasty.get_multi(["regions", "many"]) == [1, 1]
        self.eventually(lambda: region.get("own", None) is None)
        self.eventually(lambda: hasty.get_multi(["regions", "many"], None) == [None, None])
        assert region.get_multi(["kept", "long"]) == [1, 1]
        assert hasty.get_multi(["own", "forever"]) == [1, 1]
        with pytest.raises(NotFound):
            region.delete("own")

    def test_setting_again_without_a_time_to_live_keeps_the_value(self, region: Region) -> None:
        region.set("key", 1, ttl=self.brief)
        region.set("witness", 1, ttl=self.brief)
        region.set("key", 2)
        self.eventually(lambda: region.get("witness", None) is None)
        assert region.get("key") == 2

    @pytest.mark.parametrize("ttl", [0, -1, math.nan, "5", True])
    def test_a_time_to_live_that_is_none_is_refused_and_nothing_is_written(self, region: Region, ttl: Any) -> None:
        region.set("key", 1)
        with pytest.raises(ValueError, match="ttl"):
            region.set("key", 2, ttl=ttl)
        with pytest.raises(ValueError, match="ttl"):
            region.set_multi({"key": 2}, ttl=ttl)
        assert region.get("key") == 1

    def test_an_infinite_time_to_live_of_the_region_means_until_deleted(self, make: Make) -> None:
        region = make(ttl=math.inf)
        region.set("key", 1)
        assert region.get("key") == 1

    def test_two_regions_on_one_server_do_not_meet(self, make: Make) -> None:
        one, other = make(), make()
        one.set("key", 1)
        assert other.get("key", None) is None
        other.set("key", 2)
        one.delete("key")
        assert other.get("key") == 2
        with one.lock("key", blocking_timeout=0), other.lock("key", blocking_timeout=0):
            pass

    def test_regions_of_one_prefix_share_their_keys_where_others_see_them(
        self, make: Make, shared: Region
    ) -> None:
        other = make(prefix=shared.name)
        shared.set("key", 1)
        assert other.get("key") == 1

    def test_a_region_without_prefix_keeps_keys_apart_from_its_locks(self, make: Make, region: Region) -> None:
        bare = make(prefix="")
        key = f"{region.name}-bare"
        with bare.lock(key, blocking_timeout=0):
            assert bare.get(f"!{key}", None) is None
            bare.set(f"!{key}", 1)
            bare.set(key, 2)
            assert bare.get(f"!{key}") == 1
        assert bare.get(key) == 2
        bare.delete_multi([key, f"!{key}"])

    def test_keys_that_differ_little_are_different_keys(self, region: Region) -> None:
        keys = ["a", "A", "a ", " a", "ä", "a:b", "a:", "é", "é", "a#b", "a%23b", "!a", "+a", "@a"]
        usable = [key for key in keys if not _refused(region, key)]
        region.set_multi({key: key for key in usable})
        assert region.get_multi(usable) == usable
        assert {"a", "A", "a:b", "a:", "a#b", "a%23b", "!a", "+a", "@a"} <= set(usable)

    def test_a_mangler_makes_any_key_usable(self, make: Make) -> None:
        needs_manglers()
        region = make(key_mangler="fieldstone.kvs.manglers.sha256")
        keys = ["a b", "x" * 5000, "é\n", "a"]
        region.set_multi({key: key for key in keys})
        assert region.get_multi(keys) == keys
        with region.lock("x" * 5000) as lock:
            region.set("x" * 5000, 1, lock)
        assert region.get("x" * 5000) == 1

    @pytest.mark.parametrize("serializer", ["msgpack", "json", "pickle"])
    def test_each_serializer_keeps_what_json_knows(self, make: Make, serializer: str) -> None:
        if serializer == "pickle" and not (settings.configured or ENVIRONMENT_VARIABLE in os.environ):
            pytest.skip("pickles are signed with Django's SECRET_KEY, and there are no settings")
        region = make(serializer=serializer)
        value = {"a": [1, 2.5, None, True, "é"], "b": {"c": 2**70}}
        region.set_multi({"key": value, "number": 5})
        assert region.get_multi(["key", "number"]) == [value, 5]

    def test_what_another_serializer_wrote_is_not_read(self, make: Make, shared: Region) -> None:
        """Or somebody would choose how what he planted is read."""
        make(shared.name, serializer="json").set("key", {"a": 1})
        with pytest.raises(UnreadableEntryError, match="another serializer"):
            shared.get("key")
        with pytest.raises(UnreadableEntryError, match="another serializer"):
            shared.get_multi(["key"])
