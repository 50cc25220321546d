"""Which learner scopes a block has fields in: what a prefetch has to ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from opaque_keys.edx.asides import AsideUsageKeyV2
from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlock, XBlockAside
from xblock.plugin import PluginMissingError

from fieldstone.xblock.scopes import LEARNER_SCOPES, type_text

aside_key: Callable[[UsageKey, str], UsageKey] = AsideUsageKeyV2  # as the runtimes of today make them

BlockFilter = Callable[[Any], bool]


class Declared(NamedTuple):
    """Whether a class of blocks has fields in a scope; in the order of ``LEARNER_SCOPES``."""

    user_state: bool
    user_state_summary: bool
    preferences: bool
    user_info: bool

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Declared:
        scopes = {field.scope for field in fields.values()}
        return cls(*(scope in scopes for scope in LEARNER_SCOPES))


_by_class: dict[type[Any], Declared] = {}


def _of_block(block: Any) -> Declared:
    declared = _by_class.get(type(block))
    if declared is None:
        declared = Declared.of(block.fields)
        if isinstance(block, XBlock | XBlockAside):  # of a class all declare the same; a stand-in may be anything
            _by_class[type(block)] = declared
    return declared


COMPLETION = "fieldstone_completion"
"""The aside, of no class, that a learner's completion of a block is kept at: fetched and saved with its block."""


@cache
def _of_aside_type(aside_type: str) -> Declared:
    if aside_type == COMPLETION:
        return Declared(True, False, False, False)
    try:
        return Declared.of(XBlockAside.load_class(aside_type).fields)
    except PluginMissingError:
        return Declared(True, True, True, True)  # not installed here: whatever it may have stored


def declared_by(blocks: Iterable[Any], aside_types: Iterable[str]) -> Iterator[tuple[Declared, UsageKey, str]]:
    """Of each block, and of the asides of each: what it declares, its usage key, and its type as it is stored."""
    asides = [(t, type_text(t, XBlockAside.entry_point), _of_aside_type(t)) for t in aside_types]
    for block in blocks:
        ids = block.scope_ids
        yield _of_block(block), ids.usage_id, type_text(ids.block_type, block.entry_point)
        for aside_type, text, declared in asides:
            yield declared, aside_key(ids.usage_id, aside_type), text


def descendents(block: Any, depth: int | None, block_filter: BlockFilter | None) -> Iterator[Any]:
    """A block and what is below it, ``depth`` levels deep (``None``: all), those that the filter takes.

    Below a block that the filter leaves out it goes on.
    """
    waiting = [(block, depth)]
    while waiting:
        block, depth = waiting.pop()
        if block_filter is None or block_filter(block):
            yield block
        if depth is None or depth > 0:
            below = None if depth is None else depth - 1
            waiting.extend((child, below) for child in block.get_children())
