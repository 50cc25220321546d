"""End states: what a run leaves behind, without what differs from run to run anyway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

from fieldstone.testing import statements
from fieldstone.testing.races.report import Difference, RaceError
from fieldstone.testing.races.tables import Row, Table, Tables, differs_by_nature
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
        self._ignore = frozenset(ignore)
        self._noise = set[tuple[Key, str, bool]]()  # columns, of new rows or of those that were there
        self._given: Snapshot | None = None  # what setup made the first time
        self._made = dict[Key, set[Any]]()  # primary keys of the rows that setup makes
        self._varies = set[tuple[Key, str]]()  # columns that setup does not fill the same each time

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
            self._remember_setup()

    def restore(self) -> None:
        for tables in self._tables.values():
            tables.restore()

    def read(self) -> Snapshot | Any:
        """What a run left behind, to be made a ``State`` of once it is known what is noise."""
        if self._observe is not None:
            return self._observe()
        return self._rows()

    def state(self, snapshot: Snapshot | Any) -> State:
        if self._observe is not None:
            return State({}, snapshot)
        seen = {key: self._seen(key, snapshot) for key in snapshot}
        return State({key: rows for key, rows in seen.items() if rows != self._initial(key)})

    def learn_noise(self, once: Snapshot | Any, again: Snapshot | Any, order: str) -> None:
        """From two runs that should have left the same: the columns in which they differ say nothing.

        Of rows that were there before, only times and UUIDs may differ: another value is what a race is about.
        Raises ``RaceError`` if they differ by more than that.
        """
        columns: list[str] = []
        if self._observe is None:
            for keys in (False, True):  # keys last: they may differ only since what they point to does
                for key in sorted(once.keys() & again.keys()):
                    columns += self._compare(key, once, again, keys)
        state, other = self.state(once), self.state(again)
        if state != other:
            raise RaceError(not_repeatable(order, self.told(state, other), columns))

    @property
    def learned(self) -> int:
        """Grows whenever more is known to be noise."""
        return len(self._noise)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The columns that were found to differ from run to run, as ``table.column``."""
        return tuple(sorted({f"{key[1]}.{column}" for key, column, _ in self._noise}))

    def ignored_nothing(self) -> list[str]:
        """Those of ``ignore`` that no table which was written to has."""
        tables = [table for each in self._tables.values() for table in each.known.values()]
        known = {name for each in tables for column in each.columns for name in (column, f"{each.name}.{column}")}
        return sorted(self._ignore - known)

    def written(self) -> list[str]:
        """The columns of the tables that were written to, as ``table.column``."""
        tables = [table for each in self._tables.values() for table in each.known.values()]
        return sorted(f"{each.name}.{column}" for each in tables for column in each.columns)

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

    def numbers(self, expected: State, found: State, snapshot: Snapshot | Any) -> tuple[str, ...]:
        """Columns, no foreign keys, that hold numbers of new rows, if the states differ in nothing else.

        An audit log has such columns. The numbers go by the order of the inserts.
        """
        if self._observe is not None:
            return ()
        known, columns = self._new_numbers(snapshot), list[str]()
        for key in expected.rows.keys() | found.rows.keys():
            should, has = (each.rows.get(key, self._initial(key)) for each in (expected, found))
            missing, extra, table = should - has, has - should, self._table(key)
            rows = [dict(row) for row in (missing + extra).elements()]
            if any(table.is_numbered and table.primary_key in row for row in rows):
                return ()  # an initial row
            names = {
                column
                for column in table.columns
                if rows and column not in table.foreign
                if all(row.get(column) in known and row.get(column) is not True for row in rows)
            }
            if _without(names, missing) != _without(names, extra):
                return ()
            columns += [f"{table.name}.{column}" for column in names]
        return tuple(sorted(columns))

    def _new_numbers(self, snapshot: Snapshot) -> set[Any]:
        tables = {key: self._table(key) for key in snapshot}
        keys = (
            (table, row[table.primary_key])
            for key, table in tables.items()
            if table.is_numbered
            for row in snapshot[key]
        )
        return {value for table, value in keys if value not in table.keys}

    def _rows(self) -> Snapshot:
        return {(alias, name): rows for alias, each in self._tables.items() for name, rows in each.rows().items()}

    def _remember_setup(self) -> None:
        made = self._rows()
        first = self._given = made if self._given is None else self._given
        for key, rows in made.items():
            table = self._table(key)
            self._made.setdefault(key, set()).update(row.get(table.primary_key) for row in rows)
            for column in table.columns:
                then, now = (Counter(row[column] for row in each.get(key, ())) for each in (first, made))
                if then != now:
                    self._varies.add((key, column))

    def _compare(self, key: Key, once: Snapshot, again: Snapshot, of_keys: bool) -> list[str]:
        """Adds to the noise; gives back the columns that differ where they may not."""
        table, refused = self._table(key), []
        for column in table.columns:
            for new in (True, False) if (column in table.foreign) == of_keys else ():
                first, second = (self._values(key, column, each, new) for each in (once, again))
                differing = (first - second) + (second - first)
                if not differing:
                    continue
                if new or (key, column) in self._varies or all(map(differs_by_nature, differing)):
                    self._noise.add((key, column, new))
                else:
                    refused.append(f"{table.name}.{column}")
        return refused

    def _values(self, key: Key, column: str, snapshot: Snapshot, new: bool) -> Counter[Any]:
        rows = (row for row in snapshot[key] if self._is_new(key, row) == new)
        return Counter(dict(self._row(key, row, snapshot)).get(column) for row in rows)

    def _is_new(self, key: Key, row: Row) -> bool:
        """Neither an initial row nor one of ``setup``. Without a primary key nobody knows."""
        table = self._table(key)
        value = row.get(table.primary_key)
        return bool(table.primary_key) and value not in table.keys and value not in self._made.get(key, ())

    def _seen(self, key: Key, snapshot: Snapshot) -> Counter[Seen]:
        return Counter(self._row(key, row, snapshot) for row in snapshot[key])

    def _initial(self, key: Key) -> Counter[Seen]:
        return self._seen(key, {key: self._table(key).rows})

    def _row(self, key: Key, row: Row, snapshot: Snapshot, depth: int = 0) -> Seen:
        """Without what the database numbers: of a new row, its key; a key to such a row becomes the row."""
        table, new = self._table(key), self._is_new(key, row)
        is_new = table.is_numbered and row.get(table.primary_key) not in table.keys
        shown = []
        for column, value in row.items():
            skipped = column in table.volatile or (key, column, new) in self._noise
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


def _without(names: Collection[str], rows: Counter[Seen]) -> Counter[Seen]:
    return Counter(tuple(each for each in row if each[0] not in names) for row in rows.elements())


def not_repeatable(order: str, differences: str, columns: Collection[str] = ()) -> str:
    """What it says of two equal runs that ended in different ways."""
    named = "".join(f'"{column}", ' for column in dict.fromkeys(columns))
    text = _NOT_REPEATABLE.format(order=order, differences=differences)
    return f"{text}\n\n  If it says nothing about the race, leave it out: ignore=[{named[:-2]}]" if named else text


_NOT_REPEATABLE = """\
Run twice in the order {order}, one after the other, these steps do not end alike. There is nothing to
compare with:

{differences}

  Something outlives a run: an object that the steps change, a cache in the process, a random choice. Make
  it anew in the step or in setup=, or say what counts: observe=lambda: Counter.objects.get().count"""
