"""Another process, as the database sees it: a connection of its own, in a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections


def elsewhere(alias: str, call: Callable[[], Any]) -> Any:
    """What the call gives, or raises, when it is made on another connection."""

    def run() -> Any:
        try:
            return call()
        finally:
            connections[alias].close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result(60)
