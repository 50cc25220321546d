"""The statements over the two tables that intern keys, and how a list of keys or ids is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.backends.utils import CursorWrapper

from fieldstone.store.engines.placeholders import marks
from fieldstone.store.tables import CONTEXT

NewUsage = tuple[str, str, str]
"""The text of a usage key, of its learning context, and the block type."""

MetKey = tuple[str, int, int | None]
"""The text of a usage key, its id, and that of its context; or the text of a context, its id, and ``None``."""


class Interning(ABC):
    """What ``Engine`` asks of an engine for interning keys."""

    select: ClassVar[str] = "SELECT"
    """How a statement that reads by a list begins."""

    ids_listed: ClassVar[str]
    keys_listed: ClassVar[str]
    """The conditions that an id or a key is in a list, which is one parameter, made by ``listed``.

    One parameter, so that the text of a statement, and with it its plan, is the same for lists of any length.
    """

    @abstractmethod
    def listed(self, values: Sequence[int] | Sequence[str]) -> Any:
        """A list as the parameter of ``ids_listed`` or ``keys_listed``."""

    def select_ids(self, cursor: CursorWrapper, table: str, keys: Sequence[str]) -> dict[str, int]:
        """The ids of those keys that an interning table has."""
        cursor.execute(
            f"{self.select} met.key, id FROM {table} AS met WHERE met.key {self.keys_listed}", [self.listed(keys)]
        )
        return dict(cursor.fetchall())

    def select_keys(self, cursor: CursorWrapper, table: str, ids: Sequence[int]) -> dict[int, str]:
        """The keys of those ids that an interning table has."""
        cursor.execute(
            f"{self.select} id, met.key FROM {table} AS met WHERE id {self.ids_listed}", [self.listed(ids)]
        )
        return dict(cursor.fetchall())

    def insert_ids(
        self, cursor: CursorWrapper, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
    ) -> dict[str, int]:
        """Insert rows into an interning table, or find those that another process has just inserted; their ids."""
        ids: dict[str, int] = {}
        for start in range(0, len(rows), _ROWS_PER_INSERT):
            batch = rows[start : start + _ROWS_PER_INSERT]
            cursor.execute(
                self._INSERT_IDS.format(
                    table=table, columns=", ".join(map(cursor.db.ops.quote_name, columns)), rows=marks(batch)
                ),
                [value for row in batch for value in row],
            )
            ids.update(cursor.fetchall())
        return ids

    def insert_contexts(self, cursor: CursorWrapper, keys: Sequence[str]) -> dict[str, int]:
        """Insert those learning contexts, sorted, that are not there; their ids. Locks none that is there."""
        cursor.execute(
            f"INSERT INTO {CONTEXT} (key) VALUES {marks([(key,) for key in keys])}"
            " ON CONFLICT (key) DO NOTHING RETURNING key, id",
            [*keys],
        )
        return dict(cursor.fetchall())

    @abstractmethod
    def meet_usages(self, cursor: CursorWrapper, rows: Sequence[NewUsage]) -> list[MetKey]:
        """Find usages, sorted, whose contexts are there, by one statement that locks none of them.

        An engine that can inserts those that are missing by the same statement; what it does not give is left to
        ``insert_ids``.
        """

    # DO UPDATE, not DO NOTHING: only a row that the statement wrote is returned.
    _INSERT_IDS = (
        "INSERT INTO {table} ({columns}) VALUES {rows} ON CONFLICT (key) DO UPDATE SET key = excluded.key"
        " RETURNING key, id"
    )


_ROWS_PER_INSERT = 5_000  # SQLite takes 32,766 parameters a statement
