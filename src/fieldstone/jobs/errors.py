"""What jobs raise."""

from __future__ import annotations

from fieldstone.errors import FieldstoneError


class JobRefusedError(FieldstoneError, ValueError):
    """The job cannot be started; the message says why, and what to do. Nothing has been written."""


class NoSuchJobError(FieldstoneError, LookupError):
    """There is no job of this number."""

    def __init__(self, number: object) -> None:
        super().__init__(f"There is no job {number}. `manage.py fieldstone_jobs` lists them.")


class CannotGoOnError(FieldstoneError):
    """Something is wrong that is the failure of no learner, such as a full disk: the job is paused."""


class LeaseLostError(FieldstoneError):
    """Another worker has taken over the part: what this one has computed since its last chunk is dropped."""


class JobNotSentError(FieldstoneError):
    """The broker cannot be reached. The job is stored, and waits for a worker."""

    def __init__(self, number: int, reason: object) -> None:
        super().__init__(
            f"Job {number} is stored, but could not be sent to Celery: {reason}. The rescue sends it when the "
            f"broker is back; or work on it here: `manage.py fieldstone_job work {number}`."
        )
