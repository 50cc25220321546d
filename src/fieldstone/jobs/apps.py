from django.apps import AppConfig
from django.core import checks

from fieldstone import conf
from fieldstone.jobs.checks import check_deployed_jobs, check_jobs, is_readable


class JobsConfig(AppConfig):
    name = "fieldstone.jobs"
    label = "fieldstone_jobs"
    verbose_name = "Fieldstone jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        if is_readable() and (paths := conf.job_kinds()):
            from fieldstone.jobs.kinds import register  # it imports XBlock, which takes its time

            for path in paths:
                register(path)
        checks.register(check_jobs)
        checks.register(check_deployed_jobs, deploy=True)
