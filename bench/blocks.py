"""The XBlocks that the rows through ``FieldDataCache`` are measured with."""

from __future__ import annotations

from typing import Any

from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlock
from xblock.fields import Boolean, Dict, Float, Integer, List, Scope, ScopeIds, String
from xblock.runtime import KeyValueStore

from bench.workload import BLOCK_TYPES, Workload
from fieldstone.runtime.block_types import block_class


class FourScopesBlock(XBlock):
    """Fields in all four learner scopes, which no published block of the example course has."""

    attempts = Integer(scope=Scope.user_state)
    seed = Integer(scope=Scope.user_state)
    student_answers = Dict(scope=Scope.user_state)
    correct_map = Dict(scope=Scope.user_state)
    votes = Dict(scope=Scope.user_state_summary)
    speed = Float(scope=Scope.preferences)
    auto_advance = Boolean(scope=Scope.preferences)
    volume = Integer(scope=Scope.preferences)
    transcript_language = String(scope=Scope.user_info)
    seen = List(scope=Scope.user_info)
    title = String(scope=Scope.settings)


def problems(workload: Workload, count: int) -> list[XBlock]:
    """The published ``problem`` block, as often as asked; made before the clock starts, as a page has them."""
    cls = block_class("problem")
    return [_block(cls, workload, "problem", key) for key in workload.keys[:count]]


def four_scopes(workload: Workload) -> list[XBlock]:
    """A block for each key; their types take turns, so that there are preferences of each."""
    return [
        _block(FourScopesBlock, workload, BLOCK_TYPES[n % len(BLOCK_TYPES)], key)
        for n, key in enumerate(workload.keys)
    ]


def _block(cls: type[XBlock], workload: Workload, block_type: str, key: UsageKey) -> XBlock:
    return cls(None, field_data=None, scope_ids=ScopeIds(workload.learner, block_type, key, key))


def key_of(block: XBlock, field_name: str) -> Any:
    """The key-value store's key of a block's field, as XBlock itself makes it."""
    scope, ids = block.fields[field_name].scope, block.scope_ids
    user = None if scope == Scope.user_state_summary else ids.user_id
    place = {Scope.preferences: ids.block_type, Scope.user_info: None}.get(scope, ids.usage_id)
    return KeyValueStore.Key(scope, user, place, field_name, block.entry_point)
