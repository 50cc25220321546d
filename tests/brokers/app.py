"""The Celery app of a worker in the tests, as a project has one."""

from celery import Celery
from celery.signals import worker_process_init

app = Celery("fieldstone-tests")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def _make_small(**_):
    """Chunks and slices are to be many, though the job is small."""
    from fieldstone.jobs import tasks  # once Django is ready
    from fieldstone.jobs.kinds.delete_state import DeleteState

    tasks.SLICE_SECONDS = 0.3
    DeleteState.states_to_a_chunk = 10
