"""Which database alias a store reads and writes: Django's routers say it, or the caller."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, router


class Home(NamedTuple):
    """Where states live, and where their history does in the end."""

    states: str
    history: str

    @property
    def is_divided(self) -> bool:
        """Whether history is written beside the states, and moved to another alias after."""
        return self.states != self.history


def home_for_writing(using: str | None) -> Home:
    """The aliases that saves go to; ``using`` names that of the states if it is not ``None``."""
    if not router.routers:  # the usual case, which is to cost nothing
        return Home(using or DEFAULT_DB_ALIAS, using or DEFAULT_DB_ALIAS)
    states = using or router.db_for_write(_model("StudentModule"))
    # With the hint, a router that says nothing of history leaves it with its states.
    return Home(states, router.db_for_write(_model("StudentModuleHistory"), instance=_state_on(states)))


def home_for_history(using: str | None) -> Home:
    """The aliases to read history from: a replica only where that cannot tear it.

    Divided history is read where it is written: a row is somewhere at every moment, but two replicas lag behind
    each in its own time.
    """
    home = home_for_writing(using)
    if using is not None or home.is_divided or not router.routers or connections[home.states].in_atomic_block:
        return home
    alias = router.db_for_read(_model("StudentModuleHistory"))
    return Home(alias, alias)


def alias_for_reading(using: str | None) -> str:
    """The alias to read states from; in a transaction that may have written them, that of the transaction."""
    if using is not None:
        return using
    if not router.routers:
        return DEFAULT_DB_ALIAS
    states: str = router.db_for_write(_model("StudentModule"))
    if connections[states].in_atomic_block:
        return states
    return router.db_for_read(_model("StudentModule"))


def _model(name: str) -> Any:
    return apps.get_model("fieldstone_store", name)


@lru_cache(maxsize=64)
def _state_on(alias: str) -> Any:
    """A row as a router's hint; making one at each save would be felt."""
    row = _model("StudentModule")()
    row._state.db = alias
    return row
