"""Saves that wait for the end of a page, and how the cache and its blocks go back when they fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opaque_keys.edx.keys import UsageKey

from fieldstone.store.places import Expected, Place
from fieldstone.store.states import Grade, RowFields, State
from fieldstone.xblock.scopes import Cell


@dataclass
class Batch:
    """What is seen in the cache already, and not yet stored."""

    changes: dict[Cell, dict[str, str | None]] = field(default_factory=dict)  # encoded
    grades: dict[UsageKey, Grade] = field(default_factory=dict)
    stored: dict[Cell, State] = field(default_factory=dict)  # the cells before them
    dirty: list[tuple[Any, dict[Any, Any]]] = field(default_factory=list)  # blocks, and their dirty fields before

    def add(self, cell: Cell, encoded: Mapping[str, str | None]) -> None:
        """Show changes of a place, and keep them for the save at the end."""
        self.stored.setdefault(cell, cell.state)
        self.changes.setdefault(cell, {}).update(encoded)
        cell.state = overlaid(cell.state, encoded, cell.state.modified)

    def add_block(self, block: Any) -> None:
        """Remember which fields of a block are dirty, before it is saved."""
        # XBlock has no public call for it. The values are its own copies, so the dictionary is all to be copied.
        self.dirty.append((block, dict(block._dirty_fields)))

    def mark(self) -> Batch:
        """What waits now, to go back to."""
        return Batch(
            {cell: dict(fields) for cell, fields in self.changes.items()},
            dict(self.grades),
            {cell: cell.state for cell in self.changes},
            list(self.dirty),
        )

    def expected(self) -> dict[Place, Expected]:
        """The revisions that were read of all that waits."""
        expected: dict[Place, Expected] = {}
        for cell, fields in self.changes.items():
            read = self.stored[cell]
            of_fields = read.revisions
            expected[cell.place] = (
                (read.revision or 0) if of_fields is None else {name: of_fields.get(name, 0) for name in fields}
            )
        return expected

    def undo(self, mark: Batch | None = None) -> None:
        """Cells and blocks as they were at a mark, or before all that waits."""
        mark = mark or Batch()
        for cell, state in self.stored.items():
            cell.state = mark.stored.get(cell, state)
        for block, fields in reversed(self.dirty[len(mark.dirty) :]):
            block._dirty_fields.clear()
            block._dirty_fields.update(fields)
        self.stored = {cell: self.stored[cell] for cell in mark.changes}
        self.changes, self.grades, self.dirty = mark.changes, mark.grades, mark.dirty


def overlaid(state: State, encoded: Mapping[str, str | None], at: datetime) -> State:
    """A state with encoded changes over it, saved at a moment."""
    if isinstance(state.fields, RowFields):
        return state._replace(fields=state.fields.overlaid_at(encoded, at), modified=at)
    return state._replace(fields=state.fields.overlaid(encoded), modified=at)
