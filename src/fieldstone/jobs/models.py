"""A job in the database: what is to be done, how far it has got, and who is at it."""

from __future__ import annotations

from typing import Any

from django.db import models

from fieldstone.store.tables import KEY_LENGTH, ORIGIN_LENGTH


class Status(models.TextChoices):
    """Where a job stands. From the last two nothing leads further."""

    WAITING = "waiting"  # nobody has begun it
    RUNNING = "running"
    PAUSED = "paused"  # by somebody, or since it could not go on: the message says why
    CANCELLED = "cancelled"
    FINISHED = "finished"


ENDED = (Status.CANCELLED, Status.FINISHED)

COUNTS = ("attempted", "succeeded", "skipped", "failed")
"""What is counted of states: all that were looked at, and what became of them."""


class JSON(models.JSONField):
    """Django's, without its check, which fails with the driver's error where a database does not answer.

    The store's own checks say that in words; each of its engines has JSON, or they say so too.
    """

    def _check_supported(self, databases: Any) -> list[Any]:
        return []

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.JSONField", arguments, options


class Counted(models.Model):
    """How many states were looked at, and what became of them."""

    attempted = models.BigIntegerField(default=0)
    succeeded = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class Job(Counted):
    """One piece of bulk work over learner state.

    What is counted while it runs stands in its parts, so that no worker waits for another: see ``counted``.
    """

    kind = models.CharField(max_length=ORIGIN_LENGTH)
    options: Any = JSON(default=dict)
    context = models.CharField(max_length=KEY_LENGTH, blank=True)  # the learning context's key
    selection = JSON(default=dict)  # as it was asked for, for people
    whose = JSON(null=True)  # learners' ids; None: all
    requested_by = models.BigIntegerField(null=True)
    request_info = JSON(default=dict)  # of the request that asked: username, ip, agent, host
    callback_prefix = models.TextField(blank=True)  # scheme and host that external graders answer to
    reason = models.TextField(blank=True)  # as who asked gave it
    is_dry_run = models.BooleanField(default=False)
    of = models.ForeignKey("self", models.SET_NULL, null=True, related_name="followers")  # retried or undone

    status = models.CharField(max_length=16, choices=Status, default=Status.WAITING)
    message = models.TextField(blank=True)
    result: Any = JSON(default=dict)  # what the kind leaves to be found, such as a file
    total = models.BigIntegerField(default=0)  # states to look at, as they were counted at the start
    created = models.DateTimeField()
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["status", "context"], name="fieldstone_jobs_status"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}, {self.status}"

    def counted(self) -> Job:
        """This job with its counts as they are now: a query, while it has not ended."""
        if self.status not in ENDED:
            sums = self.parts.aggregate(**{name: models.Sum(name) for name in COUNTS})
            for name, number in sums.items():
                setattr(self, name, number or 0)
        return self


class Part(Counted):
    """A range of a job's work that one worker does at a time: learners at one block.

    A worker has a part by its lease; each time a part changes hands its token grows, and a chunk is only written
    by who has the newest. Whoever pauses or cancels a job takes all its parts out of their holders' hands so.
    """

    job = models.ForeignKey(Job, models.CASCADE, related_name="parts")
    number = models.IntegerField()
    usage = models.CharField(max_length=KEY_LENGTH, blank=True)  # the usage key's text
    learners = JSON(null=True)  # ids, in order; None: all in the range
    after = models.BigIntegerField()  # the last learner who is done, or before the first: the checkpoint
    until = models.BigIntegerField()  # the last learner of the range
    is_done = models.BooleanField(default=False)
    is_closing = models.BooleanField(default=False)  # what is done last, when all other parts are
    kept: Any = JSON(default=list)  # names of what was laid down of its chunks beside the database

    holder = models.CharField(max_length=255, blank=True)
    leased_until = models.DateTimeField(null=True)
    token = models.BigIntegerField(default=0)
    lost = models.IntegerField(default=0)  # how often a holder vanished since the last chunk

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="fieldstone_jobs_number")]
        indexes = [models.Index(fields=["job", "is_done", "leased_until"], name="fieldstone_jobs_free")]

    def __str__(self) -> str:
        return f"part {self.number} of job {self.job_id}"


class Note(models.Model):
    """What is to be told of one learner at one block: a failure, or what a dry run would have done."""

    class What(models.TextChoices):
        FAILED = "failed"
        WOULD = "would"

    job = models.ForeignKey(Job, models.CASCADE, related_name="notes")
    what = models.CharField(max_length=8, choices=What)
    learner_id = models.BigIntegerField()
    usage = models.CharField(max_length=KEY_LENGTH, blank=True)
    text = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["job", "what", "id"], name="fieldstone_jobs_notes")]

    def __str__(self) -> str:
        return f"{self.what}: learner {self.learner_id} at {self.usage}: {self.text}"
