"""The types of the tables' columns."""

from __future__ import annotations

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class NameField(models.CharField):  # type: ignore[type-arg]  # generic only in the stubs
    """Text that is told apart and ordered by its code points, on every engine: SQLite does nothing else."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        if connection.vendor == "postgresql":
            # Not varchar: for what begins so Django makes a second index, for LIKE, which this collation is fit
            # for.
            return f'character varying({self.max_length}) COLLATE "C"'
        column = super().db_type(connection)
        if connection.vendor == "mysql":
            return f"{column} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        return column
