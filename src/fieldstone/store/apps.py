from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate

from fieldstone.kvs.checks import check_regions
from fieldstone.store.checks import (
    check_databases,
    check_engines,
    check_history_database,
    check_routing,
    check_settings,
)
from fieldstone.store.usages import forget_all


class StoreConfig(AppConfig):
    name = "fieldstone.store"
    label = "fieldstone_store"
    verbose_name = "Fieldstone store"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # `migrate` and `flush` may have emptied the tables: ids known from before are then worth nothing.
        post_migrate.connect(forget_all, dispatch_uid="fieldstone.store.forget_all")
        # Of regions, too: one of the database without its app is what the app itself could not say.
        for check in (check_settings, check_routing, check_engines, check_regions):
            checks.register(check)
        for check in (check_databases, check_history_database):
            checks.register(check, checks.Tags.database)
