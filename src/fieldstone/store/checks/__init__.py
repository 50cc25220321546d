"""Django's system checks of the store: what in a project's settings or databases it could not work with."""

from fieldstone.store.checks.databases import check_databases, check_engines, check_history_database
from fieldstone.store.checks.routing import check_routing
from fieldstone.store.checks.settings import check_settings

__all__ = ["check_databases", "check_engines", "check_history_database", "check_routing", "check_settings"]
