"""Every call has a sibling for coroutines, which does the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fieldstone.errors import InvalidKeyError, NotFound, UnsupportedError
from fieldstone.kvs import Region
from fieldstone.testing.contracts.base import OnRegions, Run
from fieldstone.testing.contracts.regions.atomic_calls import CALLS


class Coroutines(OnRegions):
    """Every call has a sibling for coroutines, which does the same."""

    def test_coroutines_get_set_and_delete(self, region: Region, run: Run) -> None:
        async def use() -> None:
            await region.aset("a", {"n": 1})
            await region.aset_multi({"b": None, "c": 3})
            assert await region.aget("a") == {"n": 1}
            assert await region.aget_multi(["c", "b", "a"]) == [3, None, {"n": 1}]
            assert await region.aget("nothing", 5) == 5
            with pytest.raises(NotFound) as missing:
                await region.aget_multi(["a", "x", "y"])
            assert missing.value.target == ["x", "y"]
            await region.adelete("a")
            with pytest.raises(NotFound):
                await region.adelete("a")
            await region.adelete("a", missing_ok=True)
            await region.adelete_multi(["b", "x"])
            with pytest.raises(InvalidKeyError):
                await region.aset("", 1)

        run(use())
        assert region.get_multi(["a", "b", "c"], 0) == [0, 0, 3]

    def test_what_functions_wrote_coroutines_read_and_the_other_way(self, region: Region, run: Run) -> None:
        region.set("a", 1)

        async def use() -> None:
            await region.aset("b", await region.aget("a") + 1)

        run(use())
        assert region.get("b") == 2

    def test_coroutines_make_atomic_calls(self, region: Region, run: Run) -> None:
        async def use() -> None:
            can = region.abilities
            if can.add:
                assert await region.aadd("add", 1)
                assert not await region.aadd("add", 2)
            if can.incr:
                assert sorted(await asyncio.gather(*(region.aincr("n") for _ in range(30)))) == list(range(1, 31))
            if can.compare_and_set:
                await region.aset("key", "a")
                value, version = await region.aget_with_version("key")
                assert value == "a"
                assert await region.acompare_and_set("key", "b", version)
                assert not await region.acompare_and_set("key", "c", version)
            if can.touch:
                await region.aset("touched", 1)
                await region.atouch("touched", ttl=1000)
                with pytest.raises(NotFound):
                    await region.atouch("nothing")
            if can.iterate:
                await region.aset_multi({"x": 1, "y": 1})
                keys = {key async for key in region.akeys()}
                assert {"x", "y"} <= keys
                assert await region.aclear() == len(keys)
                assert [key async for key in region.akeys()] == []

        run(use())

    def test_what_a_backend_cannot_do_is_told_to_coroutines(self, region: Region, run: Run) -> None:
        async def use() -> Any:
            cannot = [ability for ability in CALLS if not getattr(region.abilities, ability)]
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "add": lambda: region.aadd("key", 2),
                "incr": lambda: region.aincr("key"),
                "compare_and_set": lambda: region.acompare_and_set("key", 2, bytes(8)),
                "touch": lambda: region.atouch("key"),
                "iterate": lambda: region.aclear(),
            }
            for ability in cannot:
                with pytest.raises(UnsupportedError):
                    await calls[ability]()
            return cannot

        assert run(use()) == [ability for ability in CALLS if not getattr(region.abilities, ability)]

    def test_a_hundred_coroutines_at_once(self, region: Region, run: Run) -> None:
        async def one(number: int) -> Any:
            key = f"key{number % 10}"
            await region.aset(f"own{number}", number)
            await region.aset_multi({key: number})
            await region.aget(key, None)
            await region.adelete(key, missing_ok=True)
            return await region.aget(f"own{number}")

        async def use() -> Any:
            return await asyncio.gather(*map(one, range(100)))

        assert run(use()) == list(range(100))

    def test_one_region_serves_one_loop_after_another(self, region: Region, run: Run) -> None:
        async def use(number: int) -> Any:
            await region.aset("key", number)
            return await region.aget("key")

        assert [run(use(number)) for number in range(3)] == [0, 1, 2]

    def test_a_cancelled_call_leaves_the_region_usable(self, region: Region, run: Run) -> None:
        """No later call takes the reply of the one that was cancelled for its own."""

        async def use() -> None:
            await region.aset_multi({"a": "a", "b": "b"})
            for steps in range(12):
                task = asyncio.create_task(region.aget("a"))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert await region.aget("b") == "b"

        run(use())
