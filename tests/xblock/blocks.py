"""Real blocks and asides with fields in every scope, and a page that they live on."""

from __future__ import annotations

from typing import Any

from opaque_keys.edx.asides import AsideUsageKeyV2
from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlock, XBlockAside
from xblock.field_data import SplitFieldData
from xblock.fields import UNIQUE_ID, Dict, Float, Integer, List, Scope, ScopeIds, String
from xblock.runtime import DictKeyValueStore, KeyValueStore, KvsFieldData
from xblock.test.tools import TestRuntime

from fieldstone.xblock import DjangoKeyValueStore, FieldDataCache
from tests.conftest import COURSE, usage

LEARNER_SCOPES = (Scope.user_state, Scope.user_state_summary, Scope.preferences, Scope.user_info)
AUTHORED_SCOPES = (Scope.content, Scope.settings, Scope.parent, Scope.children)
PERSONAL_SCOPES = tuple(scope for scope in LEARNER_SCOPES if scope != Scope.user_state_summary)


class Quiz(XBlock):
    """Fields in each learner scope, mutable and not."""

    attempts = Integer(scope=Scope.user_state, default=0)
    answers = Dict(scope=Scope.user_state)
    seed = String(scope=Scope.user_state, default=UNIQUE_ID)
    tally = Integer(scope=Scope.user_state_summary, default=0)
    votes = List(scope=Scope.user_state_summary)
    speed = Float(scope=Scope.preferences, default=1.0)
    shown = Dict(scope=Scope.preferences)
    language = String(scope=Scope.user_info)
    badges = List(scope=Scope.user_info)
    weight = Integer(scope=Scope.settings, default=1)


class Chapter(XBlock):
    """Has children, and a field of the learner."""

    has_children = True
    visited = Integer(scope=Scope.user_state, default=0)


class Text(XBlock):
    """Has no field of any learner."""

    text = String(scope=Scope.content)


class Note(XBlockAside):
    """An aside with a field in each learner scope, two of them named as the quiz's."""

    note = String(scope=Scope.user_state)
    votes = List(scope=Scope.user_state_summary)
    speed = Float(scope=Scope.preferences)
    author = String(scope=Scope.user_info)


FIELDS: dict[Scope, tuple[str, str]] = {
    Scope.user_state: ("attempts", "answers"),
    Scope.user_state_summary: ("tally", "votes"),
    Scope.preferences: ("speed", "shown"),
    Scope.user_info: ("language", "badges"),
}
"""Of a quiz, in each scope: an immutable field and a mutable one."""

VALUES: tuple[dict[str, Any], ...] = (
    {
        **{"attempts": 1, "answers": {"a": [1]}, "tally": 1, "votes": [1], "speed": 1.5},
        **{"shown": {"x": None}, "language": "eo", "badges": ["one"]},
    },
    {
        **{"attempts": 2, "answers": {"a": [1, 2]}, "tally": 2, "votes": [1, 2], "speed": 2.0},
        **{"shown": {}, "language": None, "badges": ["one", "two"]},
    },
)
"""Of those fields, what is there before and what comes after; ``None`` is a value."""


def declaring(*scopes: Scope) -> type[XBlock]:
    """A class of blocks with a field in each of these scopes."""
    return type("Declaring", (XBlock,), {f"in_{scope.name}": Integer(scope=scope) for scope in scopes})


class Page(TestRuntime):
    """What one request has: a cache for its learner, blocks over it, authored fields in memory."""

    def __init__(self, user: Any, alias: str, **options: Any) -> None:
        self.use_cache(FieldDataCache([], COURSE, user, using=alias, **options))
        self.blocks: dict[UsageKey, XBlock] = {}

    def use_cache(self, cache: FieldDataCache) -> None:
        self.cache, self.kvs = cache, DjangoKeyValueStore(cache)
        learner, authored = KvsFieldData(self.kvs), KvsFieldData(DictKeyValueStore())
        scopes = dict.fromkeys(LEARNER_SCOPES, learner) | dict.fromkeys(AUTHORED_SCOPES, authored)
        super().__init__(services={"field-data": SplitFieldData(scopes)})

    def get_block(self, usage_id: UsageKey, for_parent: XBlock | None = None) -> XBlock:
        return self.blocks[usage_id]

    def build(self, block_class: type[XBlock], key: UsageKey, children: tuple[XBlock, ...] = ()) -> Any:
        """A block that the cache has not heard of."""
        block = block_class(self, scope_ids=ScopeIds(self.cache.user.pk, key.block_type, key, key))
        if children:
            block.children = [child.scope_ids.usage_id for child in children]
        self.blocks[key] = block
        return block

    def add(self, name: str = "quiz", block_class: type[XBlock] = Quiz) -> Any:
        """A block that the cache has fetched."""
        block = self.build(block_class, usage(name, block_class.__name__.lower()))
        self.cache.add_blocks_to_cache([block])
        return block

    def aside(self, block: XBlock, aside_type: str = "note") -> Any:
        key = AsideUsageKeyV2(block.scope_ids.usage_id, aside_type)
        return Note(ScopeIds(self.cache.user.pk, aside_type, key, key), runtime=self)

    def values(self, block: XBlock, names: Any = tuple(VALUES[0])) -> dict[str, Any]:
        """What the key-value store has of these fields."""
        keys = {name: key_of(block, name) for name in names}
        return {name: self.kvs.get(key) for name, key in keys.items() if self.kvs.has(key)}


def key_of(block: XBlock, name: str, **changes: Any) -> KeyValueStore.Key:
    """The key that XBlock makes for a field, or one that differs in a part."""
    return KvsFieldData(DictKeyValueStore())._key(block, name)._replace(**changes)


def keyed(block: XBlock, values: dict[str, Any]) -> dict[KeyValueStore.Key, Any]:
    return {key_of(block, name): value for name, value in values.items()}


def stored(user: Any, alias: str, name: str = "quiz") -> dict[str, Any]:
    """The fields of a quiz as another request finds them."""
    page = Page(user, alias)
    return page.values(page.add(name))
