"""Keys and values that cannot be kept: told in words, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from fieldstone.errors import InvalidEntryError, InvalidKeyError
from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import OnRegions


class Own:
    pass


def _holding_itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


class Refusals(OnRegions):
    """Keys and values that cannot be kept: told in words, and nothing is written."""

    @pytest.mark.parametrize("key", ["", 5, b"bytes", None, ("a",), "\ud800"], ids=repr)
    def test_what_is_no_key_is_refused_by_every_call_and_nothing_is_written(
        self, region: Region, key: Any
    ) -> None:
        calls: list[Callable[[], object]] = [
            lambda: region.get(key),
            lambda: region.get_multi(["fine", key]),
            lambda: region.set(key, 1),
            lambda: region.set_multi({"fine": 1, key: 1}),
            lambda: region.delete(key),
            lambda: region.delete_multi(["fine", key]),
            lambda: region.get_or_create(key, lambda: 1),
            lambda: region.lock(key),
        ]
        for call in calls:
            with pytest.raises(InvalidKeyError) as refused:
                call()
            assert refused.value.region == region.name
        assert region.get("fine", None) is None

    def test_keys_beyond_the_limit_are_refused_in_words_and_those_at_it_are_kept(self, region: Region) -> None:
        limit = region.abilities.max_key_bytes
        if limit is None:
            region.set("k" * 100_000, 1)
            assert region.get("k" * 100_000) == 1
            region.delete("k" * 100_000)
            return
        room = limit - len(f"{region.name}:")
        region.set("k" * room, 1)
        assert region.get("k" * room) == 1
        with pytest.raises(InvalidKeyError, match="bytes"):
            region.set("k" * (room + 1), 1)
        with pytest.raises(InvalidKeyError):
            region.set("é" * (room // 2 + 1), 1)

    def test_a_value_beyond_the_limit_is_refused_and_what_was_there_stays(self, region: Region) -> None:
        limit = region.abilities.max_value_bytes
        if limit is None or limit > 2**24:
            pytest.skip("its values may be larger than a test should be")
        region.set("key", 1)
        with pytest.raises(InvalidEntryError, match="bytes"):
            region.set("key", b"x" * limit)
        with pytest.raises(InvalidEntryError, match="bytes"):
            region.set_multi({"other": 1, "key": b"x" * limit})
        assert region.get_multi(["key", "other"], None) == [1, None]

    def test_the_largest_value_that_is_allowed_is_kept(self, region: Region) -> None:
        limit = region.abilities.max_value_bytes
        if limit is None or limit > 2**24:
            pytest.skip("its values may be larger than a test should be")
        value = b"x" * (limit - 9 - 5)  # an entry's head, and MessagePack's own of so many bytes
        region.set("key", value)
        assert region.get("key") == value

    @pytest.mark.parametrize(
        "value",
        [Own(), {1, 2}, object, "\ud800", datetime(2024, 1, 1), _holding_itself()],
        ids=["object", "set", "class", "lone surrogate", "naive moment", "holds itself"],
    )
    def test_what_cannot_be_written_is_refused_and_what_was_there_stays(self, region: Region, value: Any) -> None:
        region.set("key", 1)
        with pytest.raises(InvalidEntryError) as refused:
            region.set("key", value)
        assert (refused.value.region, refused.value.key) == (region.name, "key")
        with pytest.raises(InvalidEntryError):
            region.set_multi({"other": 1, "key": value})
        assert region.get_multi(["key", "other"], None) == [1, None]
