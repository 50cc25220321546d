"""Who has a part of a job: a lease, by the database's clock, with a token that grows from holder to holder."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from django.db.models import Case, Exists, F, Q, When
from django.db.models.functions import Now

from fieldstone.jobs.errors import LeaseLostError
from fieldstone.jobs.models import Job, Part, Status


@dataclass(frozen=True)
class Lease:
    """The right to write chunks of a part, until somebody has a newer token."""

    part_id: int
    token: int


def holder_name() -> str:
    """This worker's, for people: host, process, and a number of its own."""
    return f"{socket.gethostname()} {os.getpid()} {uuid4().hex[:8]}"


def take(job: Job, holder: str, seconds: float, using: str) -> Lease | None:
    """A part of a running job that nobody is at, or whose holder is past its time; ``None`` when there is none.

    What the holder had before its connection broke, it takes again.
    """
    is_free = Q(is_done=False) & (Q(leased_until=None) | Q(leased_until__lt=Now()) | Q(holder=holder))
    parts = Part.objects.using(using).filter(job=job)
    for part in parts.filter(is_free).order_by("is_closing", "number").only("token", "is_closing")[:16]:
        if part.is_closing and parts.filter(is_done=False, is_closing=False).exists():
            return None
        # Whoever pauses or cancels a job changes the tokens with its status: of the two one comes first.
        is_running = Exists(Job.objects.using(using).filter(pk=job.pk, status=Status.RUNNING))
        taken = parts.filter(is_free, is_running, pk=part.pk, token=part.token).update(
            holder=holder,
            leased_until=Now() + timedelta(seconds=seconds),
            token=part.token + 1,
            # Who gives a part back leaves no name; where there is one, its holder has vanished.
            lost=Case(When(holder__in=["", holder], then=F("lost")), default=F("lost") + 1),
        )
        if taken:
            return Lease(part.pk, part.token + 1)
    return None


def locked(lease: Lease, using: str) -> Part:
    """The part, locked until the transaction ends. Raises ``LeaseLostError``."""
    part = Part.objects.using(using).select_for_update().filter(pk=lease.part_id, token=lease.token).first()
    if part is None:
        raise LeaseLostError(f"Part {lease.part_id} has gone over to another, or its job was stopped.")
    return part


def give_back(lease: Lease, using: str) -> None:
    """Let another have the part at once; nothing, if one has it already."""
    Part.objects.using(using).filter(pk=lease.part_id, token=lease.token).update(holder="", leased_until=None)


def renew(lease: Lease, seconds: float, using: str) -> None:
    """Have the part for so long from now. Raises ``LeaseLostError``."""
    part = Part.objects.using(using).filter(pk=lease.part_id, token=lease.token)
    if not part.update(leased_until=Now() + timedelta(seconds=seconds)):
        raise LeaseLostError(f"Part {lease.part_id} has gone over to another, or its job was stopped.")


def revoke_all(job_id: int, using: str, by: Lease | None = None) -> None:
    """Take the job's parts out of their holders' hands; waits for chunks that are being written.

    To be called before the job itself is locked, as chunks do: their failures refer to it. With ``by`` it raises
    ``LeaseLostError`` where that is nobody's any more.
    """
    parts = Part.objects.using(using).filter(job=job_id, is_done=False)
    # In order: else two who stop a job at once wait for each other.
    tokens = dict(parts.select_for_update().order_by("pk").values_list("pk", "token"))
    if by is not None and tokens.get(by.part_id) != by.token:
        raise LeaseLostError(f"Part {by.part_id} has gone over to another, or its job was stopped.")
    parts.update(token=F("token") + 1, holder="", leased_until=None, lost=0)
