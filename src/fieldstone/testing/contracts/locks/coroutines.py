"""Locks held by coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from fieldstone.errors import LockNotHeldError, LockTimeout, UnexpectedError, WrongLockError
from fieldstone.kvs import KeyValueStoreLock, Region
from fieldstone.testing.contracts.base import Run
from fieldstone.testing.contracts.locks.base import OnLocks
from fieldstone.testing.contracts.locks.checks import LONG, token


class HeldByCoroutines(OnLocks):
    """Locks held by coroutines."""

    def test_coroutines_are_kept_apart(self, region: Region, run: Run) -> None:
        inside: list[int] = []
        entered: list[KeyValueStoreLock] = []
        fences: list[int] = []

        async def work(number: int) -> None:
            for _ in range(2):
                async with region.lock("key", timeout=LONG, blocking_timeout=self.patience) as lock:
                    inside.append(number)
                    entered.append(lock)
                    if region.abilities.fencing:
                        fences.append(token(lock))
                    await asyncio.sleep(0)
                    assert inside == [number], "two were inside at once"
                    inside.remove(number)

        async def use() -> None:
            await asyncio.gather(*map(work, range(12)))

        run(use())
        assert len(entered) == 24
        assert fences == sorted(set(fences))

    def test_what_a_coroutine_may_do_with_a_lock_is_what_a_function_may(self, region: Region, run: Run) -> None:
        async def use() -> None:
            async with region.lock("key") as lock:
                await region.aset("key", 1, lock)
                with pytest.raises(WrongLockError):
                    await region.aset("other", 1, lock)
                with pytest.raises(UnexpectedError):
                    await region.lock("key", blocking_timeout=0.05).aacquire()
                with pytest.raises(UnexpectedError):
                    await sync_to_async(region.lock("key", blocking_timeout=0).acquire)()
            for call in (region.aset("key", 2, lock), region.adelete("key", lock), lock.arelease(), lock.arenew()):
                with pytest.raises(LockNotHeldError):
                    await call
            late = await region.lock("key", timeout=self.brief).aacquire()
            async with region.lock("key", blocking_timeout=self.patience):
                with pytest.raises(LockTimeout):
                    await region.aset("key", 3, late)
                with pytest.raises(LockTimeout):
                    await late.arelease()
                with pytest.raises(UnexpectedError):
                    await region.lock("key", blocking_timeout=0).aacquire()

        run(use())
        assert region.get("key") == 1

    def test_waiting_does_not_block_the_loop(self, region: Region, run: Run) -> None:
        async def use() -> None:
            async with region.lock("key", timeout=LONG):
                waiting = asyncio.create_task(region.lock("key", blocking_timeout=self.patience).aacquire())
                for _ in range(20):
                    await asyncio.sleep(0.001)
                assert not waiting.done()
            await (await waiting).arelease()

        run(use())

    def test_a_cancelled_waiter_leaves_nothing_behind(self, region: Region, run: Run) -> None:
        """Also when it is cancelled at the moment that it is granted the lock."""

        async def use() -> None:
            for pause in (0, 0, 0.001, 0.003, 0.01, 0.03):
                held = await region.lock("key", timeout=LONG).aacquire()
                waiting = asyncio.create_task(
                    region.lock("key", timeout=LONG, blocking_timeout=self.patience).aacquire()
                )
                await asyncio.sleep(pause)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                await held.arelease()
                await (await region.lock("key", timeout=LONG, blocking_timeout=1).aacquire()).arelease()

        run(use())

    def test_a_waiter_cancelled_while_it_is_granted_the_lock_leaves_it_free(
        self, region: Region, run: Run
    ) -> None:
        """At each of many moments from before its call to after it."""

        async def use() -> None:
            for step in range(40):
                lock = region.lock(f"key{step}", timeout=LONG, blocking_timeout=self.patience)
                waiting = asyncio.create_task(lock.aacquire())
                await asyncio.sleep(0.0002 * step)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                if lock.active:  # it was sooner
                    await lock.arelease()
                await (await region.lock(f"key{step}", timeout=LONG, blocking_timeout=1).aacquire()).arelease()

        run(use())

    def test_a_cancelled_holder_lets_go(self, region: Region, run: Run) -> None:
        async def use() -> None:
            begun = asyncio.Event()

            async def hold() -> None:
                async with region.lock("key", timeout=LONG):
                    begun.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(hold())
            await begun.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await (await region.lock("key", blocking_timeout=1).aacquire()).arelease()

        run(use())

    def test_renewal_keeps_a_lock_of_a_coroutine_beyond_its_timeout(self, region: Region, run: Run) -> None:
        async def use() -> None:
            timeout = max(self.brief * 2, 0.3)
            async with region.lock("key", timeout=timeout, renew=True) as lock:
                await region.lock("witness", timeout=timeout).aacquire()
                async with region.lock("witness", blocking_timeout=self.patience):
                    pass
                lock.check("key")
                with pytest.raises(UnexpectedError):
                    await region.lock("key", blocking_timeout=0).aacquire()
            async with region.lock("key", blocking_timeout=1):
                pass

        run(use())

    def test_a_coroutine_is_told_once_when_its_renewed_lock_is_taken_away(
        self, region: Region, run: Run, forget_all: Callable[[], None]
    ) -> None:
        lost: list[KeyValueStoreLock] = []

        async def use() -> Any:
            lock = region.lock("key", timeout=self.brief * 2, renew=True, on_lost=lost.append)
            await lock.aacquire()
            await sync_to_async(forget_all)()
            while not lost:
                await asyncio.sleep(0.01)
            with pytest.raises(LockTimeout):
                await lock.arelease()
            return lock

        lock = run(use())
        assert lost == [lock]
        assert lock.expired
