from django.apps import AppConfig
from django.core import checks

from fieldstone.workbench.checks import check_middleware


class WorkbenchConfig(AppConfig):
    name = "fieldstone.workbench"
    label = "fieldstone_workbench"
    verbose_name = "Fieldstone workbench"

    def ready(self) -> None:
        checks.register(check_middleware, checks.Tags.security)
