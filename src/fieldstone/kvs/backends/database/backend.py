# ruff: noqa: S608  # the texts are built of names of ours; values are parameters
"""``DatabaseBackend``: entries in a table of a Django database."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError
from django.db.backends.utils import CursorWrapper

from fieldstone.kvs.backends.base import Abilities, Backend
from fieldstone.kvs.backends.database.connection import Database
from fieldstone.kvs.backends.database.engines.base import ENTRIES
from fieldstone.kvs.backends.database.locks import LockRows, milliseconds
from fieldstone.kvs.backends.polling import agranted, granted
from fieldstone.kvs.entries import incremented
from fieldstone.kvs.tables import ENTRY, NAME_LENGTH

T = TypeVar("T")

_ROWS_AT_ONCE = 1000
_BYTES_AT_ONCE = 4 * 2**20
_SWEEP_EVERY = 50
_SWEPT_AT_ONCE = 200
_USUALLY_FITS = 256 * 2**10


class DatabaseBackend(Backend):
    """Entries that are there until they are deleted or expire, in the tables of the app ``fieldstone.kvs``.

    ``using`` is the alias of the database. Entries are part of the caller's transaction, if there is one: others
    see them at its commit, and a rollback takes them back. Each method is one statement; several entries are set
    by one transaction, all or none. Expired entries are deleted by later writes, some at a time.

    Coroutines' calls go where Django's own asynchronous ORM sends its work. A coroutine that waits for a lock
    keeps no thread meanwhile.

    What locks are is in ``fieldstone.kvs.backends.database.locks``.
    """

    kind = "the database"
    unavailable = (OperationalError, InterfaceError)
    abilities = Abilities(
        shared=True,
        durable=True,
        evicts=False,
        atomic_bulk=True,
        max_key_bytes=NAME_LENGTH,
        max_value_bytes=256 * 2**20,
    )

    def __init__(self, region: str, *, using: str = DEFAULT_DB_ALIAS) -> None:
        self._database = Database(region, using)
        self._engine = self._database.engine
        self._locks = LockRows(self._database)
        self._writes = itertools.count(1)
        self._value_limit: int | None = None

    @property
    def address(self) -> str:
        return f"{self._database.using} ({self._database.connection.display_name})"

    def check_key(self, name: str) -> str | None:
        if "\0" in name:
            return "the database takes no NUL characters"
        if not name.isascii() and any(0xD800 <= ord(character) < 0xE000 for character in name):
            return "it has half of a surrogate pair, which is no character"
        return super().check_key(name)

    # Entries

    def get(self, name: str) -> bytes | None:
        return self.get_many([name])[0]

    def get_many(self, names: Sequence[str]) -> Sequence[bytes | None]:
        def get(cursor: CursorWrapper) -> dict[str, bytes]:
            return {name: bytes(entry) for some in _parts(names) for name, entry in self._engine.get(cursor, some)}

        found = self._database.run(get)
        return [found.get(name) for name in names]

    def set(self, name: str, entry: bytes, ttl: float | None) -> None:
        self.set_many({name: entry}, ttl)

    def set_many(self, entries: Mapping[str, bytes], ttl: float | None) -> None:
        for entry in entries.values():
            self._check_size(entry)
        parts, lasting = list(_parts_by_size(sorted(entries.items()))), _milliseconds(ttl)

        def set_(cursor: CursorWrapper) -> None:
            for rows in parts:
                self._engine.set(cursor, rows, lasting)

        self._run_write(set_, whole=len(parts) > 1)

    def delete(self, name: str) -> bool:
        return self.delete_many([name]) > 0

    def delete_many(self, names: Sequence[str]) -> int:
        parts = list(_parts(sorted(set(names))))
        return self._database.run(
            lambda cursor: sum(self._engine.delete(cursor, part) for part in parts), whole=len(parts) > 1
        )

    def add(self, name: str, entry: bytes, ttl: float | None) -> bool:
        self._check_size(entry)
        return self._run_write(lambda cursor: self._engine.add(cursor, (name, entry), _milliseconds(ttl)))

    def incr(self, name: str, by: int, initial: int, ttl: float | None) -> int:
        lasting = _milliseconds(ttl)

        def count(cursor: CursorWrapper) -> int | None:
            found = self._engine.locked_entry(cursor, name)
            entry, total = incremented(found[0] if found and found[1] else None, by, initial)
            if found is None:
                return total if self._engine.add(cursor, (name, entry), lasting) else None
            if found[1]:
                self._engine.write(cursor, name, entry)
            else:
                self._engine.set(cursor, [(name, entry)], lasting)
            return total

        while True:
            total = self._run_write(count, whole=True)
            if total is not None:  # otherwise another has begun it in the same moment
                return total

    def compare_and_set(self, name: str, entry: bytes, version: bytes, ttl: float | None) -> bool:
        self._check_size(entry)
        row, lasting = (name, entry), _milliseconds(ttl)
        return self._run_write(lambda cursor: self._engine.compare_and_set(cursor, row, version, lasting))

    def touch(self, name: str, ttl: float | None) -> bool:
        return self._database.run(lambda cursor: self._engine.touch(cursor, name, _milliseconds(ttl)))

    def scan(self, prefix: str, cursor: Any, count: int) -> tuple[list[str], Any]:
        names = self._database.run(lambda open_: self._engine.names(open_, prefix, cursor, count))
        found = [name for name in names if name.startswith(prefix)]
        return found, found[-1] if len(found) == count else None

    def _run_write(self, work: Callable[[CursorWrapper], T], *, whole: bool = False) -> T:
        result = self._database.run(work, whole=whole)
        # In a caller's transaction what is swept would stay locked until its end.
        if next(self._writes) % _SWEEP_EVERY == 0 and not self._database.is_in_transaction:
            # What others have locked is swept another time: the write itself was done.
            with contextlib.suppress(OperationalError):
                self._database.run(lambda cursor: self._engine.sweep(cursor, ENTRIES, 0, _SWEPT_AT_ONCE))
        return result

    def _check_size(self, entry: bytes) -> None:
        """Raises ``ValueError`` for what does not fit into a statement: the server would hang up."""
        if len(entry) <= _USUALLY_FITS:
            return
        if self._value_limit is None:
            self._value_limit = self._database.run(self._engine.value_limit) or 2**62
        escaped = len(entry) + sum(map(entry.count, _ESCAPED)) + _USUALLY_FITS
        if escaped > self._value_limit:
            raise ValueError(
                f"it takes {len(entry):,} bytes, and the server takes statements of {self._value_limit:,}"
                " (max_allowed_packet)"
            )

    # Locks

    def acquire(self, name: str, token: str, timeout: float, wait: float) -> int | None:
        return granted(self._locks.attempt(name, token, timeout), wait)

    def release(self, name: str, token: str) -> bool:
        return self._locks.release(name, token)

    def renew(self, name: str, token: str, timeout: float) -> bool:
        return self._locks.renew(name, token, timeout)

    def locked(self, name: str) -> bool:
        return self._locks.locked(name)

    def is_over(self, name: str, token: str) -> bool:
        return self._locks.is_over(token)

    # Asynchronous use, and the end

    async def acall(self, method: str, *args: Any) -> Any:
        if method != "acquire":
            return await sync_to_async(getattr(self, method))(*args)
        *lock, wait = args
        attempt = await sync_to_async(self._locks.attempt)(*lock)
        return await agranted(attempt, wait, _in_thread)

    def leave_thread(self) -> None:
        self._database.connection.close()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call it now, or after the commit of the caller's transaction; never, if nobody will tell of that."""
        if not self._database.is_in_transaction or self._database.connection.in_atomic_block:
            self._database.connection.on_commit(call)

    def server_statistics(self) -> Mapping[str, str]:
        def count(cursor: CursorWrapper) -> tuple[int, int]:
            cursor.execute(f"SELECT count(*), coalesce(sum(length(entry)), 0) FROM {ENTRY}")
            entries, size = cursor.fetchone()
            return int(entries), int(size)

        entries, size = self._database.run(count)
        return {"entries": f"{entries:,}", "bytes": f"{size:,}"}


_ESCAPED = (b"\0", b"'", b'"', b"\\", b"\n", b"\r", b"\x1a")


async def _in_thread(function: Any, *args: Any) -> Any:
    return await sync_to_async(function)(*args)


def _milliseconds(ttl: float | None) -> int | None:
    return None if ttl is None else milliseconds(ttl)


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _ROWS_AT_ONCE):
        yield names[start : start + _ROWS_AT_ONCE]


def _parts_by_size(rows: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    """Rows that make one statement: some engine takes no more parameters or bytes."""
    part: list[tuple[str, bytes]] = []
    size = 0
    for row in rows:
        if part and (len(part) == _ROWS_AT_ONCE or size + len(row[1]) > _BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row[1])
    if part:
        yield part
