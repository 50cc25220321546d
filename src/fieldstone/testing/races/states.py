"""End states: what a run leaves behind, without what differs from run to run anyway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

from django.db.models import QuerySet

from fieldstone.testing import statements
from fieldstone.testing.races.report import Difference, RaceError
from fieldstone.testing.races.tables import Row, Table, Tables
from fieldstone.testing.statements import Run, Statement

Key = tuple[str, str]
"""A table: the database's alias, and its name."""
Snapshot = Mapping[Key, Iterable[Row]]
"""All rows of the tables that may have been written to; any other table is as it was."""
Seen = tuple[tuple[str, Any], ...]
"""A row, as it is compared: columns with values; in place of a key to a new row, that row itself."""
DEPTH = 4
"""How many new rows that refer to each other are followed."""


class State(NamedTuple):
    """Of the tables, or what ``observe`` gave; equal where nothing that counts differs."""

    rows: Mapping[Key, Counter[Seen]]
    """Of the tables that are not as they were."""
    observed: Any = None

    def tables_other_than(self, other: State) -> set[Key]:
        """The tables in which two states differ, their names in small letters."""
        keys = self.rows.keys() | other.rows.keys()
        return {(key[0], key[1].casefold()) for key in keys if self.rows.get(key) != other.rows.get(key)}


class World:
    """The databases of a race: their rows, before and after each run."""

    def __init__(
        self,
        tables: Mapping[str, Tables],
        setup: Callable[[], Any] | None,
        observe: Callable[[], Any] | None,
        ignore: Collection[str],
    ) -> None:
        self._tables, self._setup, self._observe = tables, setup, observe
        self._ignore, self._noise = frozenset(ignore), set[tuple[Key, str]]()

    def prepare(self, statement: Statement) -> None:
        """Told of each statement before it runs."""
        self._tables[statement.connection.alias].before(statement.sql)

    def begin(self) -> None:
        """The initial rows, and what ``setup`` makes of them."""
        self.restore()
        if self._setup is not None:
            with ExitStack() as stack:
                stack.callback(statements.watch_all(self._watch, self._tables))
                self._setup()

    def restore(self) -> None:
        for tables in self._tables.values():
            tables.restore()

    def read(self) -> Snapshot | Any:
        """What a run left behind, to be made a ``State`` of once it is known what is noise."""
        if self._observe is not None:
            value = self._observe()
            return list(value) if isinstance(value, QuerySet) else value
        return {(alias, name): rows for alias, each in self._tables.items() for name, rows in each.rows().items()}

    def state(self, snapshot: Snapshot | Any) -> State:
        if self._observe is not None:
            return State({}, snapshot)
        seen = {key: self._seen(key, snapshot) for key in snapshot}
        return State({key: rows for key, rows in seen.items() if rows != self._initial(key)})

    def learn_noise(self, once: Snapshot | Any, again: Snapshot | Any, order: str) -> None:
        """From two runs that should have left the same: the columns in which they differ say nothing.

        Raises ``RaceError`` if they differ by more than the values of columns.
        """
        if self._observe is None:
            for keys in (False, True):  # keys last: they may differ only since what they point to does
                for key in once.keys() & again.keys():
                    self._compare(key, once, again, keys)
        state, other = self.state(once), self.state(again)
        if state != other:
            raise RaceError(_NOT_REPEATABLE.format(order=order, differences=self.told(state, other)))

    def differences(self, expected: State, found: State) -> tuple[Difference, ...]:
        if self._observe is not None:
            return (Difference("", (repr(expected.observed),), (repr(found.observed),)),)
        result = []
        for key in sorted(expected.rows.keys() | found.rows.keys()):
            should, has = (each.rows.get(key, self._initial(key)) for each in (expected, found))
            name = key[1] if len(self._tables) == 1 else f"{key[0]}: {key[1]}"
            missing, extra = (tuple(map(_text, one.elements())) for one in (should - has, has - should))
            if missing or extra:
                result.append(Difference(name, missing, extra))
        return tuple(result)

    def told(self, expected: State, found: State) -> str:
        return "\n".join(
            f"  {each.table}: {'; '.join(each.expected) or 'no row'}  or  {'; '.join(each.found) or 'no row'}"
            for each in self.differences(expected, found)
        )

    def _compare(self, key: Key, once: Snapshot, again: Snapshot, of_keys: bool) -> None:
        table = self._table(key)
        for column in table.columns:
            if (column in table.foreign) == of_keys:
                first, second = (self._values(key, column, each) for each in (once, again))
                if first != second:
                    self._noise.add((key, column))

    def _values(self, key: Key, column: str, snapshot: Snapshot) -> Counter[Any]:
        return Counter(dict(row).get(column) for row in self._seen(key, snapshot).elements())

    def _seen(self, key: Key, snapshot: Snapshot) -> Counter[Seen]:
        return Counter(self._row(key, row, snapshot) for row in snapshot[key])

    def _initial(self, key: Key) -> Counter[Seen]:
        return self._seen(key, {key: self._table(key).rows})

    def _row(self, key: Key, row: Row, snapshot: Snapshot, depth: int = 0) -> Seen:
        """Without what the database numbers: of a new row, its key; a key to such a row becomes the row."""
        table = self._table(key)
        is_new = table.is_numbered and row.get(table.primary_key) not in table.keys
        shown = []
        for column, value in row.items():
            skipped = column in table.volatile or (key, column) in self._noise
            if skipped or (is_new and column == table.primary_key) or self._is_ignored(table, column):
                continue
            shown.append((column, self._target(table, column, value, snapshot, depth)))
        return tuple(shown)

    def _target(self, table: Table, column: str, value: Any, snapshot: Snapshot, depth: int) -> Any:
        name, other = table.foreign.get(column, ("", ""))
        key = (table.alias, name)
        if value is None or key not in snapshot or value in self._table(key).keys:
            return value
        if depth == DEPTH:
            return "…"
        for row in snapshot[key]:
            if row[other] == value:
                return self._row(key, row, snapshot, depth + 1)
        return value

    def _is_ignored(self, table: Table, column: str) -> bool:
        return column in self._ignore or f"{table.name}.{column}" in self._ignore

    def _table(self, key: Key) -> Table:
        return self._tables[key[0]].known[key[1]]

    def _watch(self, run: Run, statement: Statement) -> Any:
        self.prepare(statement)
        return run()


def _text(row: Seen) -> str:
    return ", ".join(
        f"{column}=({_text(value)})" if _is_row(value) else f"{column}={value!r}" for column, value in row
    )


def _is_row(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, tuple) and len(each) == 2 for each in value)


_NOT_REPEATABLE = """\
Run twice in the order {order}, one after the other, these steps leave different rows. There is nothing to
compare with:

{differences}

  Something outlives a run: an object that the steps change, a cache in the process, a random choice. Make
  it anew in the step or in setup=, or say what counts: observe=lambda: Counter.objects.get().count"""
