"""Interned usage keys: long text to a small integer, remembered by the process once it is committed.

An id from a transaction that may yet be rolled back is never remembered: another process may be given the same
id for another key. Such ids wait in the connection's own list of on-commit callbacks, which Django cuts back on
every rollback, to a savepoint or whole; so they serve this transaction and are forgotten with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connections, transaction
from opaque_keys.edx.keys import UsageKey

from fieldstone.store.engines import engine_of
from fieldstone.store.places import context_text
from fieldstone.store.tables import CONTEXT, USAGE

Ids = dict[str, int]

_committed: dict[tuple[str, str, str], Ids] = {}  # (alias, database name, table) -> key -> id


def forget_all(**_: Any) -> None:
    """Forget every id: for when tables were emptied under the process, as test runners do."""
    _committed.clear()


class _Pending:
    """Ids met inside a transaction; called by Django when it commits."""

    def __init__(self, known: Ids, ids: Ids) -> None:
        self.known = known
        self.ids = ids

    def __call__(self) -> None:
        self.known.update(self.ids)


class KeyTable:
    """The ids of the keys in one of the two interning tables, on one database alias."""

    def __init__(self, table: str, using: str) -> None:
        self._table = table
        self._connection = connections[using]
        self._engine = engine_of(self._connection)
        name = str(self._connection.settings_dict["NAME"])
        self._known = _committed.setdefault((using, name, self._table), {})

    def known(self, keys: Iterable[str]) -> Ids:
        """Those of the ids that need no query."""
        wanted = set(keys)
        found = {key: self._known[key] for key in wanted if key in self._known}
        for entry in self._connection.run_on_commit:
            pending = entry[1]
            if isinstance(pending, _Pending) and pending.known is self._known:
                found.update((key, pending.ids[key]) for key in wanted & pending.ids.keys())
        return found

    def remember(self, ids: Ids) -> None:
        """Keep ids that a query gave: at once, or when the transaction that may have made them commits."""
        if not ids:
            return
        if self._connection.in_atomic_block:
            transaction.on_commit(_Pending(self._known, ids), using=self._connection.alias)
        elif self._connection.get_autocommit():
            self._known.update(ids)

    def intern(self, rows: Mapping[str, tuple[Any, ...]], columns: tuple[str, ...]) -> Ids:
        """The ids of all keys, made where they are missing; two queries at most, none when all are known.

        ``rows`` maps each key to the values of ``columns``, which a new row gets.
        """
        found = self.known(rows)
        missing = [key for key in rows if key not in found]
        if missing:
            with self._connection.cursor() as cursor:
                fresh = self._engine.select_ids(cursor, self._table, missing)
                absent = sorted(key for key in missing if key not in fresh)  # sorted: no deadlock between two
                if absent:
                    new = [(key, *rows[key]) for key in absent]
                    fresh |= self._engine.insert_ids(cursor, self._table, ("key", *columns), new)
            self.remember(fresh)
            found |= fresh
        return found


def intern_usages(keys: Mapping[str, UsageKey], using: str) -> Ids:
    """The ids of usage keys, given by their text. Interns what the tables do not have yet."""
    table = KeyTable(USAGE, using)
    found = table.known(keys)
    if found.keys() >= keys.keys():
        return found
    contexts = {text: context_text(key.context_key) for text, key in keys.items() if text not in found}
    context_ids = KeyTable(CONTEXT, using).intern(dict.fromkeys(contexts.values(), ()), ())
    return found | table.intern(
        {text: (context_ids[context], keys[text].block_type) for text, context in contexts.items()},
        ("context_id", "block_type"),
    )


def find_usage(key: str, using: str) -> int | None:
    """The id of a usage key's text, or ``None`` where nothing was ever stored of it. One query at most."""
    table = KeyTable(USAGE, using)
    found = table.known([key])
    if not found:
        with connections[using].cursor() as cursor:
            found = engine_of(connections[using]).select_ids(cursor, USAGE, [key])
        table.remember(found)
    return found.get(key)
