"""Where the project's database routers put the store's tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.db import connections, router
from django.db.models import Model

from fieldstone.store.routing import home_for_writing

STATE = "StudentModule"
HISTORY = "StudentModuleHistory"
SAVED_TOGETHER = (
    "LearningContext",
    "Usage",
    "XModuleUserStateSummaryField",
    "XModuleStudentPrefsField",
    "XModuleStudentInfoField",
)
"""What a save writes with the state in one transaction, or reads with it in one query."""


def check_routing(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [*_tables(), *_together()]


def with_tables(aliases: Iterable[str]) -> list[str]:
    """Those of the aliases where the store's tables may be."""
    models = [_model(STATE), _model(HISTORY)]
    return [alias for alias in aliases if any(router.allow_migrate_model(alias, model) for model in models)]


def _model(name: str) -> type[Model]:
    return apps.get_model("fieldstone_store", name)


def _tables() -> Iterator[CheckMessage]:
    home = home_for_writing(None)
    here = [(name, home.states) for name in (STATE, *SAVED_TOGETHER, HISTORY)]
    # History has a table on both its aliases: it is written beside the states, and moved from there.
    there = [(HISTORY, home.history)] if home.is_divided else []
    for name, alias in here + there:
        if alias not in connections.settings:
            why, hint = "which is not in DATABASES", "Add it there, or"
        elif not router.allow_migrate_model(alias, _model(name)):
            why, hint = "where allow_migrate() forbids its table", "Let allow_migrate() say yes to that, or"
        else:
            continue
        yield Error(
            f"The store writes {name} to {alias!r}, {why}.",
            hint=f"{hint} have db_for_write() of the database routers name another alias.",
            id="fieldstone_store.E111",
        )


def _together() -> Iterator[CheckMessage]:
    home = home_for_writing(None).states
    aliases = {name: router.db_for_write(_model(name)) for name in SAVED_TOGETHER}
    apart = [f"{name} to {alias!r}" for name, alias in aliases.items() if alias != home]
    if apart:
        yield Error(
            f"The database routers send {STATE} to {home!r}, and elsewhere what is saved with it: "
            f"{', '.join(apart)}.",
            hint=f"Send them all to {home!r}. Only {HISTORY} may go to another alias.",
            id="fieldstone_store.E112",
        )
