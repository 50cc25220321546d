"""``FieldDataCache``: the learner's fields of a page of blocks, fetched at once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self

from django.db import Error as DatabaseError
from opaque_keys.edx.keys import CourseKey, UsageKey
from xblock.core import XBlock
from xblock.exceptions import KeyValueMultiSaveError, XBlockSaveError
from xblock.fields import Scope
from xblock.runtime import KeyValueStore

from fieldstone.errors import CrossLearnerError, FieldstoneError, ReadOnlyError
from fieldstone.store.places import Expected, Place
from fieldstone.store.plan import Plan
from fieldstone.store.states import NO_GRADE, Grade
from fieldstone.store.store import Store
from fieldstone.values import DELETED, encode_changes
from fieldstone.xblock.backing import Backing
from fieldstone.xblock.batch import Batch, overlaid
from fieldstone.xblock.declared import BlockFilter, descendents
from fieldstone.xblock.known import Known
from fieldstone.xblock.scopes import NEVER, Cell

log = logging.getLogger(__name__)


class FieldDataCache:
    """The fields of one learner in the four learner scopes, for the blocks that were added.

    One query a scope that occurs, whatever the number of blocks; reads after that cost none. A save goes to the
    store first and into the cache once it is there.

    ``asides`` names the types of asides that are fetched with their blocks. ``read_only`` makes every write raise
    ``ReadOnlyError``; with ``ignore_writes`` as well, writes do nothing, as they did in Open edX. ``origin`` is
    kept in the history of what is saved through this cache; ``using`` is a database alias, for ``Store``, and
    ``backing`` what fields are kept in instead of the store.

    Without one, an anonymous visitor has no fields, and sees what is stored in ``user_state_summary``, which is
    nobody's.

    Calls with a key raise ``InvalidScopeError`` for a scope that is not the learner's, and ``CrossLearnerError``
    for a key of another learner.
    """

    def __init__(
        self,
        blocks: Iterable[XBlock],
        course_id: CourseKey,
        user: Any,
        asides: Iterable[str] | None = None,
        read_only: bool = False,
        *,
        ignore_writes: bool = False,
        origin: str = "",
        using: str | None = None,
        backing: Backing | None = None,
    ) -> None:
        self.course_id = course_id
        self.user = user
        self.asides = tuple(asides or ())
        self.read_only = read_only
        self.ignore_writes = ignore_writes
        self.origin = origin
        self.backing: Backing = Store(using) if backing is None else backing
        self._known = Known(course_id, user, self.backing, keeps_visitors=backing is not None)
        self._batch: Batch | None = None
        self.to_be_saved: Collection[Place] = ()
        self.add_blocks_to_cache(blocks)

    @classmethod
    def cache_for_block_descendents(
        cls,
        course_id: CourseKey,
        user: Any,
        block: XBlock,
        depth: int | None = None,
        block_filter: BlockFilter | None = None,
        asides: Iterable[str] | None = None,
        read_only: bool = False,
        **options: Any,
    ) -> Self:
        """A cache to which ``add_block_descendents`` has added; ``options`` are the constructor's others."""
        cache = cls([], course_id, user, asides=asides, read_only=read_only, **options)
        cache.add_block_descendents(block, depth, block_filter)
        return cache

    @property
    def cache(self) -> Mapping[Any, Any]:
        """What is known by scope; each has a ``len``: the places of ``user_state``, the fields of other scopes."""
        return self._known.by_scope

    def __len__(self) -> int:
        return sum(map(len, self._known.by_scope.values()))

    # Fetching

    def add_blocks_to_cache(self, blocks: Iterable[XBlock]) -> None:
        """Fetch what the fields of these blocks may need; nothing for what is here already."""
        self._known.add(blocks, self.asides)

    def add_block_descendents(
        self, block: XBlock, depth: int | None = None, block_filter: BlockFilter | None = None
    ) -> None:
        """Add a block and those below it, ``depth`` levels deep (``None``: all), that the filter takes."""
        self.add_blocks_to_cache(descendents(block, depth, block_filter))

    # Reading

    def get(self, key: KeyValueStore.Key) -> Any:
        """The value, a new object at each call; ``None`` is a value. Raises ``KeyError`` when none is stored."""
        return self._known.state(key).fields[key.field_name]

    def has(self, key: KeyValueStore.Key) -> bool:
        """Whether a value is stored."""
        return key.field_name in self._known.state(key).fields

    def last_modified(self, key: KeyValueStore.Key) -> datetime | None:
        """Since when the value has not changed: in ``user_state`` the last save of the block's fields."""
        state = self._known.state(key)
        if key.field_name not in state.fields or state.modified == NEVER:
            return None
        return state.modified if state.times is None else state.times[key.field_name]

    # Saving

    def set_many(self, kv_dict: Mapping[KeyValueStore.Key, Any]) -> None:
        """Save values, ``DELETED`` to delete one: of any blocks and scopes, all or none.

        Inside ``saving_at_the_end`` the values are seen at once and stored when it ends.

        Raises ``KeyValueMultiSaveError`` with no saved field names when the store refuses: then nothing is
        stored, the cache shows what was there before, and the same call may be tried again.
        """
        try:
            self._save(kv_dict)
        except (CrossLearnerError, ReadOnlyError):
            raise
        except (DatabaseError, FieldstoneError) as error:
            names = ", ".join(sorted(key.field_name for key in kv_dict))
            log.exception("Nothing of %s was saved", names)
            raise KeyValueMultiSaveError([]) from error

    def delete(self, key: KeyValueStore.Key) -> None:
        """Delete a value. Raises ``KeyError`` when none is stored, and what ``set_many`` does."""
        if not self.has(key):
            raise KeyError(key.field_name)
        self.set_many({key: DELETED})

    def save_grade(self, usage_key: UsageKey, grade: Grade) -> None:
        """Save a learner's grade at a block; inside ``saving_at_the_end``, together with all else."""
        if self._is_closed():
            return
        if self._batch is None:
            self._store_now({self._cell_of(usage_key, whole=False): {}}, {usage_key: grade})
        else:
            self._batch.add(self._cell_of(usage_key), {})  # the save looks at its revision, too
            self._batch.grades[usage_key] = grade

    def grade(self, usage_key: UsageKey) -> Grade:
        """The learner's grade at a block, also one that waits for ``saving_at_the_end``; ``NO_GRADE`` for none."""
        if self._batch is not None and usage_key in self._batch.grades:
            return self._batch.grades[usage_key]
        state = self._cell_of(usage_key).state
        return NO_GRADE if state.max_grade is None else Grade(state.grade, state.max_grade)

    def _cell_of(self, usage_key: UsageKey, *, whole: bool = True) -> Cell:
        key = KeyValueStore.Key(Scope.user_state, self.user.pk, usage_key, "")
        return self._known.cell(key, whole=whole)

    def save_many(self, blocks: Iterable[XBlock]) -> None:
        """Save the dirty fields of all these blocks: one save of a page, whole or not at all.

        Raises ``XBlockSaveError`` as ``block.save()`` does: then nothing is saved, and every field is still dirty.
        """
        blocks = list(blocks)
        try:
            with self.saving_at_the_end() as batch:
                for block in blocks:
                    batch.add_block(block)
                    block.save()
        except (DatabaseError, FieldstoneError, KeyValueMultiSaveError, XBlockSaveError) as error:
            if isinstance(error, CrossLearnerError | ReadOnlyError):
                raise
            dirty = [field for block in blocks for field in block._dirty_fields]
            raise XBlockSaveError([], dirty, f"Nothing of {len(blocks)} blocks was saved") from error

    @contextmanager
    def saving_at_the_end(self, *, unless_changed: bool = False) -> Iterator[Batch]:
        """Make one save of all that is saved within: a page of blocks costs one write, not one a block.

        ``unless_changed``: where anybody has saved what is to be saved over, since it was read here, the save
        raises ``ConflictError``. Within another such page, that one's word holds.

        Nothing is stored when the body raises. Raises what ``Store.save`` raises, as the body ends; after any
        error the cache shows what is stored. A block that was saved within by its own ``save`` does not know then
        that it was not: ``save_many`` tells it.
        """
        if self._batch is not None:  # the page around this one saves
            mark = self._batch.mark()
            try:
                yield self._batch
            except BaseException:
                self._batch.undo(mark)
                raise
            return
        self._batch = batch = Batch()
        try:
            yield batch
            self._batch = None
            self.to_be_saved = [cell.place for cell in batch.changes]
            expected = batch.expected() if unless_changed else None
            self._store_now(batch.changes, batch.grades, expected)
        except BaseException:
            self._batch = None
            batch.undo()
            raise

    def forget_unsaved(self) -> None:
        """Inside ``saving_at_the_end``: show what is stored, and save nothing of what waits."""
        if self._batch is not None:
            self._batch.undo()

    def _save(self, updates: Mapping[KeyValueStore.Key, Any]) -> None:
        changes: dict[Cell, dict[str, Any]] = {}
        for key, value in updates.items():
            # What is shown without being stored has to be whole.
            cell = self._known.cell(key, whole=self._batch is not None)
            changes.setdefault(cell, {})[key.field_name] = value
        if self._is_closed():
            return
        # What a block does to a value after its save belongs to its next save: from here on it is text.
        encoded = {cell: encode_changes(cell.place, fields) for cell, fields in changes.items()}
        if self._batch is None:
            self._store_now(encoded, {})
        else:
            for cell, texts in encoded.items():
                self._batch.add(cell, texts)

    def _is_closed(self) -> bool:
        """Whether a write does nothing. Raises ``ReadOnlyError`` where it must not go unseen."""
        if self.read_only and not self.ignore_writes:
            raise ReadOnlyError("This field data cache is read-only: nothing was saved.")
        return self.read_only

    def _store_now(
        self,
        changes: Mapping[Cell, dict[str, str | None]],
        grades: Mapping[UsageKey, Grade],
        expected: Mapping[Place, Expected] | None = None,
    ) -> None:
        plan = Plan()
        for cell, texts in changes.items():
            plan.add(cell.place, texts, cell.name)
        for usage_key, grade in grades.items():
            plan.add_grade(usage_key, grade)
        receipt = self.backing.save_plan(self._known.learner, plan, expected=expected, origin=self.origin)
        for cell, texts in changes.items():
            state = receipt.states.usages.get(cell.name) if isinstance(cell.place, UsageKey) else None
            if state is not None:  # with what other processes saved since the prefetch
                cell.take_whole(state)
            else:
                cell.state = overlaid(cell.state, texts, receipt.at)

    # As Open edX once called them

    add_descriptors_to_cache = add_blocks_to_cache

    def add_descriptor_descendents(
        self, descriptor: XBlock, depth: int | None = None, descriptor_filter: BlockFilter | None = None
    ) -> None:
        """``add_block_descendents``."""
        self.add_block_descendents(descriptor, depth, descriptor_filter)

    @classmethod
    def cache_for_descriptor_descendents(
        cls,
        course_id: CourseKey,
        user: Any,
        descriptor: XBlock,
        depth: int | None = None,
        descriptor_filter: BlockFilter | None = None,
        *others: Any,
        **options: Any,
    ) -> Self:
        """``cache_for_block_descendents``."""
        return cls.cache_for_block_descendents(
            course_id, user, descriptor, depth, descriptor_filter, *others, **options
        )
