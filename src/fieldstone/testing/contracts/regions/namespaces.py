"""Keys that are invalidated together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fieldstone.errors import InvalidKeyError, NotFound
from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import Make, OnRegions, Run, needs_manglers
from fieldstone.testing.contracts.processes import Workers
from fieldstone.testing.contracts.workers import Background


class Namespaces(OnRegions):
    """Keys that are invalidated together."""

    def test_values_of_a_namespace_are_misses_once_it_is_invalidated(self, region: Region) -> None:
        space = region.namespace("course")
        space.set("a", 1)
        space.set_multi({"b": 2, "c": None})
        assert space.get("a") == 1
        assert space.get_multi(["b", "c"]) == [2, None]
        space.invalidate()
        assert space.get_multi(["a", "b", "c"], default=0) == [0, 0, 0]
        with pytest.raises(NotFound) as missing:
            space.get("a")
        assert missing.value.target == "a"
        space.set("a", 3)
        assert space.get_multi(["a", "b"], default=0) == [3, 0]

    def test_a_namespace_that_was_never_written_can_be_invalidated(self, region: Region) -> None:
        space = region.namespace("empty")
        space.invalidate()
        assert space.get("a", None) is None
        space.set("a", 1)
        assert space.get("a") == 1

    def test_an_invalidation_touches_neither_other_namespaces_nor_the_region_itself(self, region: Region) -> None:
        one, other = region.namespace("one"), region.namespace("other")
        for keys in (one, other, region):
            keys.set("a", keys.name)
        one.invalidate()
        assert one.get("a", None) is None
        assert other.get("a") == other.name
        assert region.get("a") == region.name

    def test_names_of_namespaces_and_keys_cannot_be_confused(self, make: Make) -> None:
        needs_manglers()
        region = make(key_mangler="fieldstone.kvs.manglers.readable")
        spaces = {name: region.namespace(name) for name in ("a", "a#b", "a b", "a%23b", "é")}
        for name, space in spaces.items():
            space.set("b#c", name)
            space.set("c", name)
        assert {name: space.get("b#c") for name, space in spaces.items()} == {name: name for name in spaces}
        spaces["a"].invalidate()
        assert spaces["a#b"].get("c") == "a#b"

    @pytest.mark.parametrize("name", ["", 5, None], ids=repr)
    def test_what_is_no_name_of_a_namespace_is_refused(self, region: Region, name: Any) -> None:
        with pytest.raises((InvalidKeyError, TypeError)):
            region.namespace(name)

    def test_deleting_and_expiring_work_in_a_namespace_as_in_the_region(self, region: Region) -> None:
        space = region.namespace("course")
        space.set("a", 1)
        space.set("b", 1)
        space.set("short", 1, ttl=self.brief)
        space.delete("a")
        with pytest.raises(NotFound):
            space.delete("a")
        space.delete_multi(["b", "nothing"])
        assert space.get_multi(["a", "b"], None) == [None, None]
        self.eventually(lambda: space.get("short", None) is None)

    def test_a_value_is_created_once_until_its_namespace_is_invalidated(self, region: Region) -> None:
        space, created = region.namespace("course"), []

        def create() -> Any:
            created.append(1)
            return len(created)

        assert [space.get_or_create("a", create) for _ in range(3)] == [1, 1, 1]
        space.invalidate()
        assert [space.get_or_create("a", create) for _ in range(3)] == [2, 2, 2]
        assert space.get("a") == 2

    def test_a_creation_that_began_before_an_invalidation_is_not_served_after_it(self, region: Region) -> None:
        """It read what the invalidation says is old."""
        space, begun, go_on = region.namespace("course"), threading.Event(), threading.Event()

        def create() -> Any:
            begun.set()
            assert go_on.wait(self.patience)
            return "old"

        creation = Background(lambda: space.get_or_create("a", create))
        assert begun.wait(self.patience)
        region.namespace("course").invalidate()
        go_on.set()
        assert creation.result() == "old"  # to who asked before
        assert space.get("a", None) is None
        assert space.get_or_create("a", lambda: "new") == "new"
        assert space.get("a") == "new"

    def test_a_stale_value_is_not_served_after_an_invalidation(self, region: Region) -> None:
        space = region.namespace("course")
        space.get_or_create("a", lambda: "old", ttl=self.brief, stale=1000)
        space.invalidate()
        assert space.get_or_create("a", lambda: "new", ttl=1000, stale=1000) == "new"

    def test_an_invalidation_is_seen_by_another_process_at_once(self, shared: Region, workers: Workers) -> None:
        space = shared.namespace("course")

        def watch() -> Iterator[Any]:
            own = shared.namespace("course")
            yield own.get("a")
            own.set("b", 2)
            yield "written"
            yield own.get_multi(["a", "b"], "gone")

        def invalidate() -> Iterator[Any]:
            shared.namespace("course").invalidate()
            yield "done"

        space.set("a", 1)
        watcher = workers.start(watch)
        assert watcher.next() == 1
        assert watcher.next() == "written"
        assert space.get("b") == 2
        assert workers.start(invalidate).rest() == ["done"]
        assert space.get_multi(["a", "b"], "gone") == ["gone", "gone"]

    def test_coroutines_use_a_namespace_as_functions_do(self, region: Region, run: Run) -> None:
        space = region.namespace("course")

        async def use() -> Any:
            await space.aset("a", 1)
            await space.aset_multi({"b": 2})
            first = await space.aget_multi(["a", "b"])
            await space.ainvalidate()
            second = await space.aget_multi(["a", "b"], 0)
            third = await space.aget_or_create("a", lambda: 3)
            return first, second, third, await space.aget("a")

        assert run(use()) == ([1, 2], [0, 0], 3, 3)
        assert space.get("a") == 3
