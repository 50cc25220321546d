"""The chunks of a part: each with its checkpoint and its counts in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from time import monotonic

from django.db import InterfaceError, OperationalError, transaction
from django.db.models.functions import Now

from fieldstone.errors import ConflictError, NoSuchBlockError
from fieldstone.jobs import leases
from fieldstone.jobs.errors import CannotGoOnError, LeaseLostError
from fieldstone.jobs.kinds.base import Chunk, Kind, Task
from fieldstone.jobs.leases import Lease
from fieldstone.jobs.models import Job, Note, Part
from fieldstone.jobs.outcomes import Change, Done, Failure, Outcome
from fieldstone.store import Store
from fieldstone.store.places import key_text, parse_key
from fieldstone.store.states import States

ALONE_AFTER = 2
"""So many holders of a part vanished in turn: from here on one learner at a time is worked on."""
GIVE_UP_AFTER = 4
"""And so many: the learner who is next is taken for the cause, and left as failed."""
CONFLICTS = 10
"""So often in turn a chunk is computed anew, since somebody made a row of it meanwhile."""
NOTES_OF_A_DRY_RUN = 1000
"""So many learners of a part are noted; all are counted."""


@dataclass
class Tally:
    """What became of a chunk."""

    succeeded: int = 0
    skipped: int = 0
    failed: int = 0
    notes: list[Note] = field(default_factory=list)


class PartWork:
    """A part in the hands of a worker."""

    def __init__(
        self, job: Job, part: Part, lease: Lease, kind: Kind, task: Task, using: str, lease_seconds: float
    ) -> None:
        self._job = job
        self._part = part
        self._lease = lease
        self._kind = kind
        self._task = task
        self._using = using
        self._lease_seconds = lease_seconds
        self._store = Store(using)
        self._usage_key = parse_key(part.usage)
        self._places, self._gone = [self._usage_key], ""
        try:
            self._places = kind.places(self._usage_key)
        except NoSuchBlockError as error:  # it was there when the job was planned
            self._gone = str(error)
        self._alone_until: int | None = None  # a chunk failed as a whole: up to its end, one learner at a time
        self._last: int | None = None  # the last learner of the part, once it is known

    @property
    def is_done(self) -> bool:
        return self._part.is_done

    def do_chunk(self) -> None:
        """The next learners, written; without any the part is done.

        What goes wrong with a chunk is tried a learner at a time, and with a learner alone is that one's failure.
        Raises ``LeaseLostError``, ``CannotGoOnError``, or the database's errors that another try may not meet.
        """
        chunk = self._next_chunk()
        for _ in range(CONFLICTS):
            try:
                self._write(*self._computed(chunk))
                return
            except ConflictError:
                chunk = self._chunk(chunk.states)
            except (LeaseLostError, CannotGoOnError, OperationalError, InterfaceError):
                raise
            except Exception as error:
                if not chunk.states:
                    raise
                if len(chunk.states) > 1:
                    self._alone_until = max(chunk.states)
                    return
                failure = Failure(f"{type(error).__name__}: {error}")
                self._write(chunk, dict.fromkeys(chunk.states, failure))
                return
        self._alone_until = max(chunk.states)

    # Reading

    def fear_the_chunk(self) -> None:
        """The next chunk has failed again and again: one learner of it at a time, then whole chunks as before.

        MariaDB cuts the connection of who sends more than it takes in one statement.
        """
        self._alone_until = max(self._next_learners(self._kind.states_to_a_chunk), default=None)

    def _next_chunk(self) -> Chunk:
        part, limit = self._part, self._kind.states_to_a_chunk
        if part.lost >= ALONE_AFTER or (self._alone_until is not None and part.after < self._alone_until):
            limit = 1
        learners = self._next_learners(limit)
        self._last = None if len(learners) == limit else max(learners, default=part.after)
        return self._chunk(learners)

    def _next_learners(self, limit: int) -> list[int]:
        part = self._part
        if part.learners is not None:
            return list(islice((learner for learner in part.learners if learner > part.after), limit))
        return self._store.learners_at(self._usage_key, after=part.after, until=part.until, limit=limit)

    def _chunk(self, learners: Iterable[int]) -> Chunk:
        ids = list(learners)
        read = self._store.read_many(ids, self._places) if ids else {}
        return Chunk(self._usage_key, {learner_id: read.get(learner_id) or States() for learner_id in ids})

    def _computed(self, chunk: Chunk) -> tuple[Chunk, Mapping[int, Outcome]]:
        """The outcomes of a chunk, or of as much of it as can be computed well within the lease."""
        if self._gone:
            return chunk, dict.fromkeys(chunk.states, Failure(self._gone))
        if self._part.lost >= GIVE_UP_AFTER and chunk.states:
            reason = f"{self._part.lost} workers vanished over it, one after the other."
            return chunk, dict.fromkeys(chunk.states, Failure(reason))
        found: dict[int, Outcome] = {}
        enough = monotonic() + self._lease_seconds / 3
        for learner_id, outcome in self._kind.outcomes(chunk, self._task):
            found[learner_id] = outcome
            if monotonic() > enough:
                break
        computed = chunk.first(len(found))
        if list(computed.states) != list(found) or (not found and chunk.states):
            raise TypeError(
                f"{self._kind.name}: outcomes() has to tell of each learner of the chunk, in its order."
            )
        return computed, found

    # Writing

    def _write(self, chunk: Chunk, outcomes: Mapping[int, Outcome]) -> None:
        """The chunk, its counts and its checkpoint: all of it, or nothing."""
        with transaction.atomic(self._using):
            part = leases.locked(self._lease, self._using)
            if chunk.states and min(chunk.states) <= part.after:
                self._part = part  # it is written: what failed then came after the commit
                return
            if chunk.states:
                self._count(part, chunk, self._saved(chunk, outcomes, part))
                part.after, part.lost = max(chunk.states), 0
                part.leased_until = Now() + timedelta(seconds=self._lease_seconds)
            if part.after == self._last:
                part.is_done, part.holder, part.leased_until = True, "", None
            part.save(using=self._using)
        self._part = part

    def _count(self, part: Part, chunk: Chunk, tally: Tally) -> None:
        Note.objects.using(self._using).bulk_create(tally.notes)
        part.attempted += len(chunk.states)
        part.succeeded += tally.succeeded
        part.skipped += tally.skipped
        part.failed += tally.failed

    def _saved(self, chunk: Chunk, outcomes: Mapping[int, Outcome], part: Part) -> Tally:
        """Save what is to be saved. Of whom somebody has saved meanwhile, what is there now is looked at."""
        settled = dict(outcomes)
        for learner_id in sorted(self._refused(outcomes)):
            # One after the other: what one saves may be what the next has read, such as a field of all learners.
            late = self._late(learner_id)
            while self._refused(late):
                late = self._late(learner_id)
            settled.update(late)
        if not self._job.is_dry_run:
            part.kept = [*part.kept, *self._laid_down(chunk, settled, part)]
        return self._tally(settled)

    def _laid_down(self, chunk: Chunk, outcomes: Mapping[int, Outcome], part: Part) -> list[str]:
        try:
            return self._kind.lay_down(chunk, outcomes, part)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            # A disk that is full is the failure of no learner.
            raise CannotGoOnError(f"{type(error).__name__}: {error}") from error

    def _late(self, learner_id: int) -> Mapping[int, Outcome]:
        return dict(self._kind.outcomes(self._chunk([learner_id]), self._task))

    def _refused(self, outcomes: Mapping[int, Outcome]) -> list[int]:
        """Save; the learners of whom nothing was saved, since somebody else has saved."""
        changes = {learner_id: each for learner_id, each in outcomes.items() if isinstance(each, Change)}
        if not changes or self._job.is_dry_run:
            return []
        saves = [change.save for change in changes.values()]
        receipt = self._store.save_many(saves, origin=f"job:{self._job.pk}", actor=self._job.requested_by)
        for learner_id in changes.keys() - set(receipt.refused):
            for tell in changes[learner_id].events:
                tell()
        return list(receipt.refused)

    def _tally(self, outcomes: Mapping[int, Outcome]) -> Tally:
        tally, usage = Tally(), key_text(self._usage_key)
        for learner_id, outcome in outcomes.items():
            if isinstance(outcome, Failure):
                tally.failed += 1
                what, text = Note.What.FAILED, outcome.reason
            elif isinstance(outcome, Change):
                tally.succeeded += 1
                if not self._job.is_dry_run or self._part.succeeded + tally.succeeded > NOTES_OF_A_DRY_RUN:
                    continue
                what, text = Note.What.WOULD, outcome.would
            else:
                tally.succeeded += isinstance(outcome, Done)
                tally.skipped += not isinstance(outcome, Done)
                continue
            tally.notes.append(Note(job=self._job, learner_id=learner_id, usage=usage, what=what, text=text))
        return tally
