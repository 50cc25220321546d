"""``MemoryRegion``: values by key in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from fieldstone.errors import InvalidValueError
from fieldstone.values import MISSING, decode_value, encode_value


class _Entry(NamedTuple):
    text: str
    expires: float | None  # by the region's clock


class MemoryRegion:
    """Values by key, for the threads of one process, and no longer than it lives.

    Kept as JSON text, so that what goes in and comes out is a copy. Beyond ``max_bytes`` of keys and values the
    ones that were longest unused are dropped.
    """

    def __init__(self, max_bytes: int = 64 * 2**20, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # the longest unused first
        self._bytes = 0

    def get(self, key: str, default: Any = MISSING) -> Any:
        """The value; ``None`` is one. ``default`` when there is none, or it has expired."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return default
            if entry.expires is not None and entry.expires <= self._clock():
                self._drop(key)
                return default
            self._entries.move_to_end(key)
        return decode_value(entry.text)

    def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Keep a value, for ``ttl`` seconds or until it is dropped.

        Raises ``InvalidValueError`` for what JSON cannot write, or for more than the region may hold; what was
        there before stays.
        """
        try:
            text = encode_value(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidValueError("the region", key, f"JSON cannot write it ({error})") from error
        if (size := _size(key, text)) > self.max_bytes:
            reason = f"it takes {size:,} bytes, and the region may hold {self.max_bytes:,}"
            raise InvalidValueError("the region", key, reason)
        with self._lock:
            if key in self._entries:
                self._drop(key)
            self._entries[key] = _Entry(text, None if ttl is None else self._clock() + ttl)
            self._bytes += size
            while self._bytes > self.max_bytes:
                self._drop(next(iter(self._entries)))

    def delete(self, key: str) -> bool:
        """Whether there was a value."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return False
            self._drop(key)
            return entry.expires is None or entry.expires > self._clock()

    def _drop(self, key: str) -> None:
        self._bytes -= _size(key, self._entries.pop(key).text)


def _size(key: str, text: str) -> int:
    return len(key.encode()) + len(text)
