"""A Django table: entries that last, and locks that hold as long as a transaction."""

from fieldstone.kvs.backends.database.backend import DatabaseBackend

__all__ = ["DatabaseBackend"]
