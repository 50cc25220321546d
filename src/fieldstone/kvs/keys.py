"""``Keys``: getting, setting and creating, as regions and namespaces do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fieldstone.errors import NotFound, ServiceUnavailable
from fieldstone.kvs.asynchronous import AsyncKeys
from fieldstone.kvs.locks import KeyValueStoreLock
from fieldstone.kvs.runner import RAISE, Steps
from fieldstone.values import MISSING


class Keys(AsyncKeys):
    """The calls that a region and a namespace of one have in common.

    Values are what the region's serializer writes, ``None`` among them; in and out they are copies. ``ttl`` is how
    long a value is kept in seconds, fractions too; ``None`` stands for the region's own, ``math.inf`` for until it
    is deleted.

    All raise ``InvalidKeyError`` for keys that the backend cannot take, and ``ServiceUnavailable`` when its server
    does not answer. In a region that fails open reading is a miss then, and setting and deleting do nothing; what
    has to know (``add``, ``incr``, ``compare_and_set``, locks) raises all the same. What is written raises
    ``InvalidEntryError`` when it cannot be, and changes nothing.
    """

    def get(self, key: str, default: Any = RAISE) -> Any:
        """The value. Without one: ``default`` if it is given, otherwise raises ``NotFound``."""
        value = self._get(key)
        if value is not MISSING:
            return value
        if default is RAISE:
            raise NotFound(key, self.name)
        return default

    def get_multi(self, keys: Iterable[str], default: Any = RAISE) -> list[Any]:
        """The values in order, in one round trip. Without ``default`` raises ``NotFound`` naming all that miss."""
        asked = list(keys)
        values: list[Any] = self._run(self._operations().get_multi(asked), None) or [MISSING] * len(asked)
        return self._complete(asked, values, default)

    def set(
        self, key: str, value: Any, lock: KeyValueStoreLock | None = None, *, ttl: float | None = None
    ) -> None:
        """Keep a value. With a lock, raises what its ``check`` does: for another key, and unless it is held."""
        if lock is not None:
            lock.check(key)
        self._set(key, value, ttl)

    def set_multi(self, values: Mapping[str, Any], *, ttl: float | None = None) -> None:
        """All of them, or none where ``abilities.atomic_bulk`` says so; in one round trip."""
        self._run(self._operations().set_multi(values, ttl), None)

    def delete(self, key: str, lock: KeyValueStoreLock | None = None, *, missing_ok: bool = False) -> None:
        """Raises ``NotFound`` when there is none, unless that is all right; with a lock as ``set``."""
        if lock is not None:
            lock.check(key)
        if not self._run(self._operations().delete(key), False) and not missing_ok:
            raise NotFound(key, self.name)

    def delete_multi(self, keys: Iterable[str]) -> int:
        """How many there were; the others are as they were, not there."""
        return int(self._run(self._operations().delete_multi(list(keys)), 0))

    def get_or_create(
        self,
        key: str,
        create: Callable[[], Any],
        *,
        ttl: float | None = None,
        stale: float = 0.0,
        timeout: float | None = None,
        wait: float | None = None,
    ) -> Any:
        """The value; without one, what ``create()`` gives, which is kept. Of all processes one calls it at a time.

        For ``stale`` seconds after its ``ttl`` an old value is given to all but the one that creates the new one.
        Without an old value the others wait, ``wait`` seconds at most (by default as for locks), and then raise
        ``UnexpectedError``. ``timeout`` is how many seconds a creation may take: after that the next one begins,
        whatever has become of the first.
        """
        times = self._times(timeout, wait)
        return self._run(self._operations().get_or_create(key, create, ttl, stale, *times))

    def _get(self, key: str) -> Any:
        return self._run(self._operations().get(key), MISSING)

    def _set(self, key: str, value: Any, ttl: float | None) -> None:
        self._run(self._operations().set(key, value, ttl), None)

    def _times(self, timeout: float | None, wait: float | None) -> tuple[float, float]:
        return self._operations().options.lock_times(timeout, wait)

    def _complete(self, keys: Sequence[str], values: list[Any], default: Any) -> list[Any]:
        missing = [key for key, value in zip(keys, values, strict=True) if value is MISSING]
        if missing and default is RAISE:
            raise NotFound(missing, self.name)
        return [default if value is MISSING else value for value in values] if missing else values

    def _run(self, steps: Steps[Any], when_down: Any = RAISE) -> Any:
        """Drive an operation; what it gives when the server is down and the region fails open, if anything."""
        runner = self._runner()
        try:
            return runner.run(steps)
        except ServiceUnavailable:
            if runner.is_fail_open and when_down is not RAISE:
                return when_down
            raise
