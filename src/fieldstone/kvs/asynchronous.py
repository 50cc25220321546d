"""The calls of a region for coroutines: each is as the one of the same name without its ``a``.

On Redis they are asynchronous down to the socket; in memory they are done at once. memcached and the database are
called in threads, those of the database where Django's own asynchronous calls go. ``create`` of ``aget_or_create``
may be a coroutine function.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from fieldstone.errors import NotFound, ServiceUnavailable
from fieldstone.kvs.creation import CreatingOperations
from fieldstone.kvs.locks import KeyValueStoreLock
from fieldstone.kvs.runner import RAISE, Runner, Steps
from fieldstone.values import MISSING


class AsyncKeys:
    """For ``Keys``: what regions and namespaces have in common."""

    name: str

    def _operations(self) -> CreatingOperations:
        raise NotImplementedError

    def _runner(self) -> Runner:
        raise NotImplementedError

    def _times(self, timeout: float | None, wait: float | None) -> tuple[float, float]:
        raise NotImplementedError

    def _complete(self, keys: Sequence[str], values: list[Any], default: Any) -> list[Any]:
        raise NotImplementedError

    async def aget(self, key: str, default: Any = RAISE) -> Any:
        value = await self._arun(self._operations().get(key), MISSING)
        if value is not MISSING:
            return value
        if default is RAISE:
            raise NotFound(key, self.name)
        return default

    async def aget_multi(self, keys: Iterable[str], default: Any = RAISE) -> list[Any]:
        asked = list(keys)
        values = await self._arun(self._operations().get_multi(asked), None) or [MISSING] * len(asked)
        return self._complete(asked, values, default)

    async def aset(
        self, key: str, value: Any, lock: KeyValueStoreLock | None = None, *, ttl: float | None = None
    ) -> None:
        if lock is not None:
            lock.check(key)
        await self._arun(self._operations().set(key, value, ttl), None)

    async def aset_multi(self, values: Mapping[str, Any], *, ttl: float | None = None) -> None:
        await self._arun(self._operations().set_multi(values, ttl), None)

    async def adelete(self, key: str, lock: KeyValueStoreLock | None = None, *, missing_ok: bool = False) -> None:
        if lock is not None:
            lock.check(key)
        if not await self._arun(self._operations().delete(key), False) and not missing_ok:
            raise NotFound(key, self.name)

    async def adelete_multi(self, keys: Iterable[str]) -> int:
        return int(await self._arun(self._operations().delete_multi(list(keys)), 0))

    async def aget_or_create(
        self,
        key: str,
        create: Callable[[], Any],
        *,
        ttl: float | None = None,
        stale: float = 0.0,
        timeout: float | None = None,
        wait: float | None = None,
    ) -> Any:
        times = self._times(timeout, wait)
        return await self._arun(self._operations().get_or_create(key, create, ttl, stale, *times))

    async def _arun(self, steps: Steps[Any], when_down: Any = RAISE) -> Any:
        runner = self._runner()
        try:
            return await runner.arun(steps)
        except ServiceUnavailable:
            if runner.is_fail_open and when_down is not RAISE:
                return when_down
            raise


class AsyncRegion(AsyncKeys):
    """For ``Region``: what only a region has."""

    async def aget_with_version(self, key: str) -> tuple[Any, bytes]:
        entry = await self._arun(self._operations().get_entry(key), None)
        if entry is None:
            raise NotFound(key, self.name)
        return entry.value, entry.version

    async def acompare_and_set(self, key: str, value: Any, version: bytes, *, ttl: float | None = None) -> bool:
        return bool(await self._arun(self._operations().compare_and_set(key, value, version, ttl)))

    async def aadd(self, key: str, value: Any, *, ttl: float | None = None) -> bool:
        return bool(await self._arun(self._operations().add(key, value, ttl)))

    async def aincr(self, key: str, by: int = 1, *, initial: int = 0, ttl: float | None = None) -> int:
        return int(await self._arun(self._operations().incr(key, by, initial, ttl)))

    async def atouch(self, key: str, *, ttl: float | None = None) -> None:
        if not await self._arun(self._operations().touch(key, ttl), False):
            raise NotFound(key, self.name)

    async def akeys(self, *, count: int = 1000) -> AsyncIterator[str]:
        cursor = None
        while True:
            names, cursor = await self._arun(self._operations().page_of_keys(cursor, count))
            for name in names:
                yield name
            if cursor is None:
                return

    async def aclear(self) -> int:
        return int(await self._arun(self._operations().clear()))
