"""Projects that the system checks look at: the tests' own, with another database or router in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.db import connections


@pytest.fixture
def any_database(django_db_blocker: Any) -> Iterator[None]:
    """pytest-django's mark allows only databases that were in the settings when the test began."""
    with django_db_blocker.unblock():
        yield


def found(*aliases: str) -> set[str]:
    """The checks of the store that say something, as Django runs them: ``{"E101"}``. These aliases are asked."""
    return {message.id.split(".")[1] for message in messages(*aliases)}


def messages(*aliases: str) -> list[Any]:
    all_messages = run_checks(databases=aliases or None)
    return [message for message in all_messages if message.id.startswith("fieldstone_store.")]


@contextmanager
def database(alias: str = "tried", **entry: Any) -> Iterator[str]:
    """One more alias in ``DATABASES``."""
    connections.settings[alias] = connections.configure_settings({**settings.DATABASES, alias: entry})[alias]
    try:
        yield alias
    finally:
        connections[alias].close()
        if hasattr(connections[alias], "close_pool"):
            connections[alias].close_pool()
        del connections[alias]
        del connections.settings[alias]


def like(alias: str, **changes: Any) -> dict[str, Any]:
    """The entry of a database of the tests, changed; what is in ``OPTIONS`` is added to its own."""
    entry = {**connections[alias].settings_dict, **changes}
    return {**entry, "OPTIONS": {**connections[alias].settings_dict["OPTIONS"], **changes.get("OPTIONS", {})}}


class Router:
    """Sends models to aliases by name, and forbids tables on aliases: ``{("other", "Usage")}``."""

    def __init__(self, aliases: dict[str, str], forbidden: set[tuple[str, str]] | None = None) -> None:
        self.aliases = {name.lower(): alias for name, alias in aliases.items()}
        self.forbidden = {(alias, name.lower()) for alias, name in forbidden or ()}

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return self.aliases.get(model._meta.model_name)

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        return False if (db, model_name) in self.forbidden else None
