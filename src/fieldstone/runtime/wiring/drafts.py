"""What authors wrote, for reading; and in a preview an author's edits over it, which the course never sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opaque_keys.edx.keys import UsageKey
from xblock.core import XBlock, XBlockAside
from xblock.exceptions import InvalidScopeError
from xblock.field_data import FieldData
from xblock.runtime import KeyValueStore

from fieldstone.errors import ReadOnlyError
from fieldstone.runtime.course import AuthoredFieldData
from fieldstone.runtime.wiring.ephemeral import EphemeralStore
from fieldstone.store.places import key_text
from fieldstone.store.plan import Plan
from fieldstone.store.reading import Wanted
from fieldstone.values import DELETED, Fields, encode_changes


class AuthorsFields(FieldData):  # type: ignore[misc]  # xblock publishes no types
    """``content``, ``settings``, ``parent`` and ``children``: the course's, with the author's drafts over them.

    Without ``drafts`` a write raises ``InvalidScopeError``, and when it ``is_read_only``, ``ReadOnlyError``. An
    aside has no authored fields but drafts.
    """

    def __init__(
        self,
        authored: AuthoredFieldData,
        drafts: EphemeralStore | None,
        is_read_only: Callable[[], bool] = lambda: False,
    ) -> None:
        self._authored = authored
        self._drafts = drafts
        self._is_read_only = is_read_only
        self._known: dict[str, Fields] = {}
        self._waiting: Plan | None = None

    def get(self, block: XBlock, name: str) -> Any:
        draft = self._draft(block)
        if name in draft:
            return draft[name]
        if isinstance(block, XBlockAside):
            raise KeyError(name)
        return self._authored.get(block, name)

    def has(self, block: XBlock, name: str) -> bool:
        if name in self._draft(block):
            return True
        return not isinstance(block, XBlockAside) and self._authored.has(block, name)

    def set(self, block: XBlock, name: str, value: Any) -> None:
        self.set_many(block, {name: value})

    def set_many(self, block: XBlock, update_dict: Mapping[str, Any]) -> None:
        if self._drafts is None:
            scope = block.fields[next(iter(update_dict))].scope
            raise InvalidScopeError(
                KeyValueStore.Key(scope, None, block.scope_ids.usage_id, next(iter(update_dict)))
            )
        if self._is_read_only():
            raise ReadOnlyError("Drafts cannot be written here: nothing was saved.")
        usage_key = block.scope_ids.usage_id
        with self.saving_at_the_end() as plan:
            changes = encode_changes(usage_key, update_dict)
            self._known[key_text(usage_key)] = self._draft(block).overlaid(changes)
            plan.add(usage_key, changes)

    @contextmanager
    def saving_at_the_end(self) -> Iterator[Plan]:
        """Make one save of all drafts that are written within; of none when the body raises."""
        if self._waiting is not None:
            yield self._waiting
            return
        self._waiting = Plan()
        try:
            yield self._waiting
            if self._drafts is not None:
                self._drafts.save_plan(None, self._waiting)
        except BaseException:
            self._known.clear()  # what is stored shows again
            raise
        finally:
            self._waiting = None

    def delete(self, block: XBlock, name: str) -> None:
        """A draft is taken back; what the course has shows again."""
        self.set_many(block, {name: DELETED})

    def default(self, block: XBlock, name: str) -> Any:
        if isinstance(block, XBlockAside):
            raise KeyError(name)
        return self._authored.default(block, name)

    def _draft(self, block: XBlock) -> Fields:
        if self._drafts is None:
            return _NO_DRAFT
        usage_key: UsageKey = block.scope_ids.usage_id
        text = key_text(usage_key)
        fields = self._known.get(text)
        if fields is None:
            state = self._drafts.read(None, Wanted(usages={text: usage_key})).usages.get(text)
            fields = self._known[text] = Fields({}) if state is None else state.fields
        return fields


_NO_DRAFT = Fields({})
