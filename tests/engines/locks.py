"""Rows that somebody else has locked, and connections that wait for them no longer than they must."""

from __future__ import annotations

import contextlib

from django.db import connections

IMPATIENT = {
    "sqlite": "PRAGMA busy_timeout = 50",
    "postgresql": "SET lock_timeout = '50ms'",
    "mysql": "SET innodb_lock_wait_timeout = 1",  # the shortest there is
}


@contextlib.contextmanager
def locked(alias, rows):
    """Another connection has rows of a table locked; on SQLite, which knows no other way, the database."""
    holder = connections[alias].copy()
    lock = "BEGIN IMMEDIATE" if holder.vendor == "sqlite" else f"SELECT * FROM {rows} FOR UPDATE"
    try:
        if holder.vendor != "sqlite":
            holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute(lock)
            if holder.vendor != "sqlite":
                assert cursor.fetchall(), "there is nothing to lock"
        yield
    finally:
        holder.close()
