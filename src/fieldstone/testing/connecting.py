"""Connecting: what Django does on its own account to have a connection, and connections of the kit's own."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import FrameType

from django.db.backends.base.base import BaseDatabaseWrapper

CONNECT = inspect.unwrap(BaseDatabaseWrapper.connect).__code__
"""What Django asks while it connects depends on whether there was a connection; MariaDB is told READ COMMITTED."""


def is_connecting(frames: Iterable[FrameType]) -> bool:
    """Whether one of these frames is Django's, as it connects."""
    return any(frame.f_code is CONNECT for frame in frames)


def apart(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Another connection to the same database, not open yet, and from no pool.

    What its session is told stays in it, and it takes nothing away from the pool of the code under test.
    """
    settings = connection.settings_dict
    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    return type(connection)({**settings, "OPTIONS": options}, connection.alias)
