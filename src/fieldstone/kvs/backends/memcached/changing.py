"""Changing an item by what it holds: read it, and write unless somebody was faster."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from fieldstone.kvs.backends.memcached.drivers import Driver

R = TypeVar("R")

TRIES = 1000
"""How often it is tried: each time that it fails somebody else's change was done."""


class Write(NamedTuple):
    """What is to be stored, and the server's expiry of it."""

    value: bytes
    expire: int


def changed(driver: Driver, key: str, change: Callable[[bytes | None], tuple[Write | None, R]]) -> R:
    """What ``change(stored)`` gives beside the write, once that is done; ``None`` writes nothing.

    ``stored`` is ``None`` where there is nothing. Raises ``TimeoutError`` when others were always faster.
    """
    for number in range(TRIES):
        stored, unique = driver.gets(key)
        write, result = change(stored)
        if write is None:
            return result
        if driver.add(key, *write) if unique is None else driver.cas(key, write.value, unique, write.expire):
            return result
        if number:  # who is late again comes at another moment
            time.sleep(random.uniform(0, min(number, 10) / 1000))  # noqa: S311  # no secret
    raise TimeoutError(f"it was changed by others {TRIES} times while it was to be changed")
