"""Interned usage keys: long text to a small integer, remembered by the process once it is committed.

An id from a transaction that may yet be rolled back is never remembered: another process may be given the same
id for another key. Such ids wait in the connection's own list of on-commit callbacks, which Django cuts back on
every rollback, to a savepoint or whole; so they serve this transaction and are forgotten with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connections, transaction
from opaque_keys.edx.keys import UsageKey

from fieldstone.store.engines import engine_of
from fieldstone.store.engines.interning import NewUsage
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

    def find(self, keys: Iterable[str]) -> Ids:
        """The ids of those keys that are interned; one query, none for keys that are known."""
        wanted = set(keys)
        found = self.known(wanted)
        if found.keys() < wanted:
            with self._connection.cursor() as cursor:
                fresh = self._engine.select_ids(cursor, self._table, sorted(wanted - found.keys()))
            self.remember(fresh)
            found |= fresh
        return found

    def insert(self, rows: Mapping[str, tuple[Any, ...]], columns: tuple[str, ...]) -> Ids:
        """The ids of keys that were missing; one query, none for no keys.

        ``rows`` maps each key to the values of ``columns``, which a new row gets.
        """
        if not rows:
            return {}
        with self._connection.cursor() as cursor:
            new = [(key, *rows[key]) for key in sorted(rows)]  # sorted: no deadlock between two
            fresh = self._engine.insert_ids(cursor, self._table, ("key", *columns), new)
        self.remember(fresh)
        return fresh


def intern_usages(keys: Mapping[str, UsageKey], using: str) -> Ids:
    """The ids of usage keys, given by their text. Interns what the tables do not have yet.

    Two queries at most; three on MariaDB for a new usage of a context that only other processes have met.
    """
    table, context_table = KeyTable(USAGE, using), KeyTable(CONTEXT, using)
    found = table.known(keys)
    if len(found) == len(keys):
        return found
    contexts = {text: context_text(key.context_key) for text, key in keys.items() if text not in found}
    if context_table.known(contexts.values()).keys() >= set(contexts.values()):
        found |= table.find(contexts)
    else:
        found |= _meet([(text, context, keys[text].block_type) for text, context in contexts.items()], using)
    left = {text: context for text, context in contexts.items() if text not in found}
    context_ids = context_table.find(left.values())
    context_ids |= context_table.insert({text: () for text in left.values() if text not in context_ids}, ())
    new = {text: (context_ids[context], keys[text].block_type) for text, context in left.items()}
    return found | table.insert(new, ("context_id", "block_type"))


def _meet(usages: Sequence[NewUsage], using: str) -> Ids:
    """Intern contexts that the process has not met, and find usages in them, or intern those too.

    Contexts are not asked for first: of a new course, whose usages are new too, one query is enough to know it.
    """
    table, context_table = KeyTable(USAGE, using), KeyTable(CONTEXT, using)
    engine = engine_of(connections[using])
    contexts = {context for _, context, _ in usages}
    with connections[using].cursor() as cursor:
        context_ids = engine.insert_contexts(cursor, sorted(contexts - context_table.known(contexts).keys()))
        rows = [] if context_ids.keys() >= contexts else engine.meet_usages(cursor, sorted(usages))
    ids = {text: row_id for text, row_id, context_id in rows if context_id is not None}
    context_ids |= {text: row_id for text, row_id, context_id in rows if context_id is None}
    context_of = {text: context for text, context, _ in usages}
    context_ids |= {context_of[text]: context_id for text, _, context_id in rows if context_id is not None}
    context_table.remember(context_ids)
    table.remember(ids)
    return ids


def find_usage(key: str, using: str) -> int | None:
    """The id of a usage key's text, or ``None`` where nothing was ever stored of it. One query at most."""
    return KeyTable(USAGE, using).find([key]).get(key)
