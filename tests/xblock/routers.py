"""Database routers for tests of calls that name no alias: they go where Django's routers say."""

from __future__ import annotations


class Replicated:
    """States are written to ``default`` and read from ``default_history``, a replica that lags behind for ever."""

    def db_for_write(self, model, **hints):
        return "default" if model._meta.app_label == "fieldstone_store" else None

    def db_for_read(self, model, **hints):
        return "default_history" if model._meta.app_label == "fieldstone_store" else None


class Everything:
    """Users, states and all else on one alias."""

    def __init__(self, alias):
        self.alias = alias

    def db_for_read(self, model, **hints):
        return self.alias

    db_for_write = db_for_read
