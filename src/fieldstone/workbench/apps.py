from django.apps import AppConfig
from django.core import checks

from fieldstone.runtime.sandbox import check_sandbox
from fieldstone.workbench.checks import check_middleware


class WorkbenchConfig(AppConfig):
    name = "fieldstone.workbench"
    label = "fieldstone_workbench"
    verbose_name = "Fieldstone workbench"

    def ready(self) -> None:
        # Not before: with the services come the store's models.
        from fieldstone.runtime.services.checks import check_services
        from fieldstone.runtime.wiring.checks import check_asides, check_ephemeral_regions

        checks.register(check_middleware, checks.Tags.security)
        checks.register(check_sandbox, checks.Tags.security)
        checks.register(check_services)
        checks.register(check_asides)
        checks.register(check_ephemeral_regions, deploy=True)
