from django.apps import AppConfig
from django.core import checks

from fieldstone.kvs.checks import check_deployed_regions, check_regions
from fieldstone.kvs.telemetry import instrument


class RegionsConfig(AppConfig):
    name = "fieldstone.kvs"
    label = "fieldstone_kvs"
    verbose_name = "Fieldstone regions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_regions)
        checks.register(check_deployed_regions, deploy=True)
        instrument()
