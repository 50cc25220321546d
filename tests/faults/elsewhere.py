"""An alias of the tests that leads somewhere else for a while: through a proxy, to a server of one's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import connections

from fieldstone.store.usages import forget_all


@contextlib.contextmanager
def leading_elsewhere(alias: str, **address: Any) -> Iterator[None]:
    """Connections of the alias, of this process and of ``Writers``, go to this address (HOST, PORT, NAME, ...)."""
    connection = connections[alias]
    before = {name: connection.settings_dict[name] for name in address}
    connection.close()
    connection.settings_dict.update(address)
    forget_all()
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
        forget_all()
