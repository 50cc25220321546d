"""Threads and processes on one region."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain
from typing import Any

from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import OnRegions
from fieldstone.testing.contracts.processes import Workers
from fieldstone.testing.contracts.workers import Background, in_threads


class Sharing(OnRegions):
    """Threads and processes on one region."""

    def test_threads_that_do_everything_at_once_read_only_what_was_written(self, region: Region) -> None:
        keys = [f"key{n}" for n in range(5)]

        def work(number: int) -> Any:
            draw, read = random.Random(number), []
            for turn in range(40):
                key = draw.choice(keys)
                region.set(key, [key, number, turn])
                read += [
                    (asked, found)
                    for asked, found in zip(keys, region.get_multi(keys, None), strict=True)
                    if found
                ]
                if turn % 7 == 0:
                    region.delete(key, missing_ok=True)
                if turn % 5 == 0:
                    region.set_multi({key: [key, number, turn] for key in keys})
            return read

        read = list(chain.from_iterable(in_threads(8, work)))
        assert read
        assert all(found[0] == asked and found[1] in range(8) and found[2] in range(40) for asked, found in read)

    def test_another_process_sees_what_is_set_deleted_and_counted(self, shared: Region, workers: Workers) -> None:
        def other() -> Iterator[Any]:
            yield shared.get("a")
            shared.set("b", [1])
            shared.delete("a")
            yield shared.incr("n") if shared.abilities.incr else None

        shared.set("a", {"x": 1})
        worker = workers.start(other)
        assert worker.next() == {"x": 1}
        worker.rest()
        assert shared.get("b") == [1]
        assert shared.get("a", None) is None
        if shared.abilities.incr:
            assert shared.incr("n") == 2

    def test_processes_that_count_lose_nothing(self, shared: Region, workers: Workers) -> None:
        if not shared.abilities.incr:
            return

        def work(number: int) -> Iterator[Any]:
            yield [shared.incr("n") for _ in range(50)]

        sums = [number for (told,) in workers.all(4, work) for number in told]
        assert sorted(sums) == list(range(1, 201))

    def test_a_region_is_usable_on_both_sides_of_a_fork(self, shared: Region, workers: Workers) -> None:
        """Neither side reads the replies to the other's questions."""
        shared.set_multi({"parent": "parent", "child": "child"})

        def child() -> Iterator[Any]:
            yield "begun"
            yield [shared.get("child") for _ in range(200)]

        worker = workers.start(child)
        assert worker.next() == "begun"
        assert [shared.get("parent") for _ in range(200)] == ["parent"] * 200
        assert worker.rest() == [["child"] * 200]

    def test_a_region_is_usable_after_it_was_closed(self, region: Region) -> None:
        region.set("key", 1)
        region.close()
        if region.abilities.durable or region.abilities.shared:
            assert region.get("key") == 1
        region.set("key", 2)
        assert Background(lambda: region.get("key")).result() == 2
