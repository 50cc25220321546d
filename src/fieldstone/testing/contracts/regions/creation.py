"""``get_or_create``: one creates, the others wait or take what is old."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fieldstone.errors import InvalidEntryError, UnexpectedError
from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import OnRegions, Run
from fieldstone.testing.contracts.processes import Event, Value, Workers
from fieldstone.testing.contracts.workers import Background, in_threads


class Creator:
    """Counts its calls; a call waits until it is let go."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.calls, self.begun, self.go_on = 0, threading.Event(), threading.Event()

    def __call__(self) -> Any:
        self.calls += 1
        self.begun.set()
        assert self.go_on.wait(self.patience)
        return f"value {self.calls}"


class Creation(OnRegions):
    """``get_or_create``: one creates, the others wait or take what is old."""

    def test_of_threads_that_miss_at_once_one_creates(self, region: Region) -> None:
        calls = []

        def create() -> Any:
            calls.append(1)
            return {"created": len(calls)}

        values = in_threads(8, lambda _: region.get_or_create("key", create))
        assert values == [{"created": 1}] * 8
        assert len(calls) == 1

    def test_who_comes_while_another_creates_waits_for_it(self, region: Region) -> None:
        creator = Creator(self.patience)
        first = Background(lambda: region.get_or_create("key", creator))
        assert creator.begun.wait(self.patience)
        second = Background(lambda: region.get_or_create("key", creator))
        assert not second.is_over
        creator.go_on.set()
        assert first.result() == second.result() == "value 1"
        assert creator.calls == 1

    def test_of_processes_that_miss_at_once_one_creates(self, shared: Region, workers: Workers) -> None:
        calls, start = Value("i", 0), Event()

        def work(number: int) -> Iterator[Any]:
            def create() -> Any:
                with calls.get_lock():
                    calls.value += 1
                return f"by {number}"

            start.wait(self.patience)
            yield shared.get_or_create("key", create)

        started = [workers.start(work, number) for number in range(4)]
        start.set()
        values = [worker.rest() for worker in started]
        assert calls.value == 1
        assert len(set(map(tuple, values))) == 1

    def test_while_one_creates_the_others_get_the_old_value(self, region: Region) -> None:
        creator = Creator(self.patience)
        creator.go_on.set()
        assert region.get_or_create("key", creator, ttl=self.brief, stale=1000) == "value 1"
        self.eventually(lambda: region.get("key", None) is None)  # plain reading knows fresh values only
        creator.begun.clear()
        creator.go_on.clear()
        first = Background(lambda: region.get_or_create("key", creator, ttl=1000, stale=1000))
        assert creator.begun.wait(self.patience)
        assert region.get_or_create("key", creator, ttl=1000, stale=1000) == "value 1"
        assert not first.is_over
        creator.go_on.set()
        assert first.result() == "value 2"
        assert region.get("key") == "value 2"
        assert creator.calls == 2

    def test_when_a_creator_raises_the_caller_hears_it_and_the_next_one_creates(self, region: Region) -> None:
        def fail() -> None:
            raise KeyError("its own")

        with pytest.raises(KeyError, match="its own"):
            region.get_or_create("key", fail)
        assert region.get("key", None) is None
        assert region.get_or_create("key", lambda: 1, wait=0) == 1

    def test_what_is_created_and_cannot_be_kept_is_refused(self, region: Region) -> None:
        with pytest.raises(InvalidEntryError):
            region.get_or_create("key", lambda: {1, 2})
        assert region.get_or_create("key", lambda: None, wait=0) is None
        assert region.get("key") is None

    def test_who_waited_in_vain_is_told(self, region: Region) -> None:
        creator = Creator(self.patience)
        first = Background(lambda: region.get_or_create("key", creator))
        assert creator.begun.wait(self.patience)
        with pytest.raises(UnexpectedError):
            region.get_or_create("key", creator, wait=0.05)
        creator.go_on.set()
        assert first.result() == "value 1"

    def test_other_keys_are_created_meanwhile(self, region: Region) -> None:
        creator = Creator(self.patience)
        first = Background(lambda: region.get_or_create("key", creator))
        assert creator.begun.wait(self.patience)
        assert region.get_or_create("other", lambda: 1, wait=0) == 1
        creator.go_on.set()
        first.result()

    def test_the_lock_of_a_key_and_its_creation_do_not_exclude_each_other(self, region: Region) -> None:
        with region.lock("key"):
            assert region.get_or_create("key", lambda: 1, wait=0) == 1

    def test_a_creator_that_was_killed_is_followed_by_the_next(self, shared: Region, workers: Workers) -> None:
        def create_on_and_on(begun: Any) -> Iterator[Any]:
            def create() -> None:
                begun.set()
                threading.Event().wait()

            yield shared.get_or_create("key", create, timeout=self.brief)

        begun = Event()
        worker = workers.start(create_on_and_on, begun)
        assert begun.wait(self.patience)
        worker.kill()
        assert shared.get_or_create("key", lambda: "by the next", wait=self.patience) == "by the next"

    def test_a_created_value_expires_in_its_time(self, region: Region) -> None:
        region.get_or_create("key", lambda: 1, ttl=self.brief)
        region.get_or_create("forever", lambda: 1, ttl=math.inf)
        self.eventually(lambda: region.get("key", None) is None)
        assert region.get("forever") == 1
        assert region.get_or_create("key", lambda: 2) == 2

    def test_none_is_created_once(self, region: Region) -> None:
        calls = []
        for _ in range(3):
            assert region.get_or_create("key", lambda: calls.append(1)) is None
        assert calls == [1]

    @pytest.mark.parametrize(
        "times", [{"stale": -1}, {"stale": True}, {"timeout": 0}, {"wait": -1}, {"ttl": 0}], ids=repr
    )
    def test_times_of_a_creation_that_are_none_are_refused(self, region: Region, times: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            region.get_or_create("key", lambda: 1, **times)
        assert region.get("key", None) is None

    def test_coroutines_create_once_by_functions_and_by_coroutine_functions(
        self, region: Region, run: Run
    ) -> None:
        calls = []

        async def create() -> Any:
            calls.append(1)
            await asyncio.sleep(0)
            return len(calls)

        async def use() -> Any:
            found = await asyncio.gather(*(region.aget_or_create("key", create) for _ in range(8)))
            return found, await region.aget_or_create("plain", lambda: "made")

        assert run(use()) == ([1] * 8, "made")

    def test_a_cancelled_creation_leaves_the_next_one_free(self, region: Region, run: Run) -> None:
        async def use() -> Any:
            begun = asyncio.Event()

            async def create() -> None:
                begun.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(region.aget_or_create("key", create))
            await begun.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return await region.aget_or_create("key", lambda: "next", wait=1)

        assert run(use()) == "next"
