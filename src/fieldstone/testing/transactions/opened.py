"""The connections that this process has opened, whatever thread they belong to."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakSet

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_opened: WeakSet[BaseDatabaseWrapper] = WeakSet()
_lock = threading.Lock()


def opened_before() -> list[BaseDatabaseWrapper]:
    """Those that were opened since the first call, and that somebody still has.

    Threads outlive tests, and keep their connections: that of asgiref's executor does.
    """
    connection_created.connect(_keep, dispatch_uid=__name__)
    with _lock:
        return list(_opened)


def _keep(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    with _lock:
        _opened.add(connection)
