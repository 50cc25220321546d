"""Classes of blocks, made ready by one thread before any other sees them.

XBlock works out a class's fields, services and tags when they are first asked for, and to a thread that asks while
another is at it, it gives ``None`` (``xblock.internal.LazyClassProperty``, as of XBlock 6.1).
"""

from __future__ import annotations

from threading import RLock
from typing import Any

from xblock.core import XBlock, XBlockAside
from xblock.fields import ScopeIds
from xblock.internal import LazyClassProperty
from xblock.runtime import Runtime

_ready: set[type[Any]] = set()
_one_at_a_time = RLock()


class ReadyClasses(Runtime):  # type: ignore[misc]  # xblock publishes no types
    """A runtime whose threads may meet a class for the first time at once."""

    def construct_xblock_from_class(self, cls: type[XBlock], *args: Any, **kwargs: Any) -> XBlock:
        make_ready(self.mixologist.mix(cls))
        return super().construct_xblock_from_class(cls, *args, **kwargs)

    def create_aside(self, block_type: str, keys: ScopeIds) -> XBlockAside:
        make_ready(XBlockAside.load_class(block_type))
        return super().create_aside(block_type, keys)


def make_ready(cls: type[Any]) -> None:
    """Work out all that XBlock puts off."""
    if cls in _ready:
        return
    with _one_at_a_time:
        for name in {name for base in cls.__mro__ for name, value in vars(base).items() if _is_put_off(value)}:
            getattr(cls, name)
        _ready.add(cls)


def _is_put_off(value: Any) -> bool:
    return isinstance(value, LazyClassProperty)
