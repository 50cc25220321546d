"""What the store needs of PostgreSQL, and of a pooler before it.

No check of the version: the statements need 9.5, and Django refuses to connect to less than 14.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.db.backends.base.base import BaseDatabaseWrapper


def in_settings(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    return iter(())


def asked(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    yield from _encoding(connection)
    yield from _isolation(connection)
    unsafe = list(_unsafe_when_pooled(connection))
    if unsafe and pools_transactions(connection):
        yield from unsafe


def _encoding(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    (encoding,) = _row(connection, "SHOW server_encoding")
    if encoding != "UTF8":
        yield Error(
            f"The database {connection.alias!r} is encoded in {encoding}: keys and origins in other alphabets "
            "cannot be stored.",
            hint="Create a database with ENCODING 'UTF8' TEMPLATE template0, and move the data into it.",
            id="fieldstone_store.E141",
        )


def _isolation(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    chosen = connection.settings_dict["OPTIONS"].get("isolation_level")
    if chosen is None:
        (level,) = _row(connection, "SHOW default_transaction_isolation")
    else:
        level = connection.isolation_level.name.lower().replace("_", " ")  # type: ignore[attr-defined]
    if level != "read committed":
        yield Warning(
            f"Transactions on {connection.alias!r} are {level}: a save fails that had to wait for another of "
            "the same row.",
            hint="Take isolation_level out of OPTIONS, and leave default_transaction_isolation at read committed.",
            id="fieldstone_store.W145",
        )


def _unsafe_when_pooled(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    """What lasts longer than a transaction, where each may get another session of the server."""
    alias, options = connection.alias, connection.settings_dict["OPTIONS"]
    pooled = f"The database {alias!r} is behind a pooler (pgbouncer or its like) that pools transactions"
    if not connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        yield Warning(
            f"{pooled}, and server-side cursors are on: QuerySet.iterator() loses its cursor half-way.",
            hint=f'Put "DISABLE_SERVER_SIDE_CURSORS": True into DATABASES[{alias!r}].',
            id="fieldstone_store.W142",
        )
    if options.get("prepare_threshold") is not None:
        yield Warning(
            f"{pooled}, and statements are prepared: a session that did not prepare one refuses it.",
            hint="Take prepare_threshold out of OPTIONS; or have pgbouncer 1.21 with max_prepared_statements, and "
            "silence this check.",
            id="fieldstone_store.W143",
        )
    if options.get("assume_role"):
        yield Error(
            f"{pooled}, and assume_role sets the role of the session at hand, which others get after it.",
            hint='Take assume_role out of OPTIONS and connect as that role, by "USER".',
            id="fieldstone_store.E144",
        )


def pools_transactions(connection: Any) -> bool:
    """Whether something before the server hands its sessions from client to client between transactions.

    A pooler cannot be asked what it is, except on its own console. But it greets with a process id that is not the
    server's. And clients who talk in turns each keep a session of their own, unless transactions are pooled.
    """
    connection.ensure_connection()
    if connection.connection.info.backend_pid == _process(connection):
        return False
    other = connection.copy()
    other.settings_dict["OPTIONS"].pop("pool", None)  # Django's own pool may have no connection left
    try:
        # Ten turns: while others use the pooler, a session may by chance come back to whoever had it.
        turns = [(_process(connection), _process(other)) for _ in range(10)]
    finally:
        other.close()
    one, two = ({turn[client] for turn in turns} for client in (0, 1))
    return len(one) > 1 or len(two) > 1 or one == two


def _process(connection: BaseDatabaseWrapper) -> int:
    (process,) = _row(connection, "SELECT pg_backend_pid()")
    return int(process)


def _row(connection: BaseDatabaseWrapper, statement: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return tuple(cursor.fetchone())
