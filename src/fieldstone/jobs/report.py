"""A job's report: what it was, what became of it, how long it took and how fast it went.

Failures are read some hundreds at a time: a hundred thousand of them take no more memory than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, Self

from django.contrib.auth import get_user_model
from django.utils.timezone import is_aware, localtime

from fieldstone.jobs.figures import counts, duration_ms, states_per_second
from fieldstone.jobs.kinds import KINDS
from fieldstone.jobs.models import COUNTS, Job, Note

NOTES_AT_A_TIME = 500

_WORDS = {"undo_of": "what was done by job", "failures_of": "the failures of job"}


class Told(NamedTuple):
    """What there is to say of one learner: why it failed, or what a dry run would have done."""

    number: int  # notes are read in its order
    learner: int  # the account's id
    username: str  # "" where there is no such account any more
    usage_key: str
    text: str


class Relation(NamedTuple):
    """Another job that this one has to do with."""

    words: str
    job: int


class Share(NamedTuple):
    """A part of a bar: where it begins and how wide it is, in hundredths of the bar."""

    name: str
    states: str
    start: str  # all as they are written: a template would write numbers as the language has them
    width: str


@dataclass(frozen=True)
class Report:
    """A job as it stands: of one that runs, as it was when this was made."""

    job: Job
    action_name: str
    """What is said of a learner for whom it succeeded: ``reset``, ``rescored``."""
    attempted: int
    succeeded: int
    skipped: int
    failed: int
    total: int
    """States that there were to look at when it was started."""
    duration_ms: int
    """From the first worker to the end, pauses included; 0 while nobody has begun."""
    states_per_second: float | None
    """Attempted ones, over the whole duration; ``None`` while there are none."""
    asked_by: str
    """The username of who asked, as far as it is known."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """Costs a query or two; failures are read when they are asked for."""
        return cls.of_many([job])[0]

    @classmethod
    def of_many(cls, jobs: Iterable[Job]) -> list[Self]:
        """One of each; usernames are looked up for all of them at once."""
        counted = [job.counted() for job in jobs]
        names = _usernames({job.requested_by for job in counted if job.requested_by is not None})
        return [cls._of(job, names) for job in counted]

    @classmethod
    def _of(cls, job: Job, names: Mapping[int, str]) -> Self:
        return cls(
            job=job,
            action_name=KINDS[job.kind].action_name if job.kind in KINDS else job.kind,
            duration_ms=duration_ms(job),
            states_per_second=states_per_second(job),
            asked_by=str(job.request_info.get("username") or names.get(job.requested_by or 0, "")),
            **counts(job),
        )

    def failures(self, after: int = 0) -> Iterator[Told]:
        """Who failed, and why, as it came about; ``after``: the last ``number`` that was seen."""
        return self._notes(Note.What.FAILED, after)

    def would(self, after: int = 0) -> Iterator[Told]:
        """What a dry run would have done: of the first so many learners."""
        return self._notes(Note.What.WOULD, after)

    @cached_property
    def followers(self) -> Sequence[Job]:
        """The jobs that took this one back, or tried its failures again."""
        return list(self.job.followers.order_by("pk"))

    @property
    def relations(self) -> Sequence[Relation]:
        """The jobs that this one comes from, and those that came of it."""
        came_from = "takes back" if _takes_back(self.job) else "tries again who failed in"
        origin = [Relation(came_from, self.job.of_id)] if self.job.of_id else []
        return [*origin, *(Relation(_became(follower), follower.pk) for follower in self.followers)]

    @property
    def over(self) -> str:
        """What it is over, in words."""
        selection = {key: value for key, value in self.job.selection.items() if value}
        named = ", ".join(f"{_WORDS.get(key, key)} {value}" for key, value in selection.items())
        return named or self.job.context

    @property
    def shares(self) -> Sequence[Share]:
        """Succeeded, skipped and failed, as parts of all that there is to do."""
        whole = max(self.total, self.attempted, 1)
        shares, start = [], 0
        for name in COUNTS[1:]:
            count = getattr(self, name)
            shares.append(Share(name, f"{count:,}", _percent(start, whole), _percent(count, whole)))
            start += count
        return shares

    @property
    def said(self) -> Mapping[str, str]:
        """The counts as people read them: ``10,000``."""
        return {name: f"{number:,}" for name, number in counts(self.job).items()}

    @property
    def done_percent(self) -> int:
        """How far it is; 100 when nothing is left to look at."""
        whole = max(self.total, self.attempted)
        return self.attempted * 100 // whole if whole else 100

    def words(self) -> list[tuple[str, str]]:
        """The facts as people read them: what each is, and what it says; ``relations`` are beside them."""
        job = self.job
        whose = "all" if job.whose is None else f"{len(job.whose):,}"
        options = ", ".join(f"{name.replace('_', ' ')}: {_said(value)}" for name, value in job.options.items())
        speed = self.states_per_second
        rows = [
            ("Over", self.over),
            ("Course", "" if job.context in self.over else job.context),
            ("Learners", whose),
            ("Options", options),
            ("Asked by", self.asked_by or (f"account {job.requested_by}" if job.requested_by else "")),
            ("Why", job.reason),
            ("Asked", _local(job.created)),
            ("Begun", _local(job.started)),
            ("Ended", _local(job.ended)),
            ("Took", _duration(self.duration_ms) if job.started else ""),
            ("Speed", f"{speed:,.0f} states a second" if speed else ""),
            *((str(name).capitalize(), str(value)) for name, value in job.result.items()),
        ]
        return [(name, value) for name, value in rows if value]

    def facts(self) -> dict[str, Any]:
        """All but the failures, as JSON holds it; times are ISO 8601."""
        job = self.job
        return {
            "job": job.pk,
            "kind": job.kind,
            "status": str(job.status),
            "message": job.message,
            "action_name": self.action_name,
            **counts(job),
            "duration_ms": self.duration_ms,
            "states_per_second": self.states_per_second and round(self.states_per_second, 1),
            "is_dry_run": job.is_dry_run,
            "context": job.context,
            "selection": job.selection,
            "learners": None if job.whose is None else len(job.whose),
            "options": job.options,
            "reason": job.reason,
            "asked_by": self.asked_by,
            "asked_by_id": job.requested_by,
            "created": _iso(job.created),
            "started": _iso(job.started),
            "ended": _iso(job.ended),
            "result": job.result,
            "of": job.of_id,
            "followers": [{"job": follower.pk, "kind": follower.kind} for follower in self.followers],
        }

    def _notes(self, what: str, after: int) -> Iterator[Told]:
        notes = self.job.notes.filter(what=what).order_by("pk")
        while batch := list(notes.filter(pk__gt=after)[:NOTES_AT_A_TIME]):
            names = _usernames({note.learner_id for note in batch})
            for note in batch:
                name = names.get(note.learner_id, "")
                yield Told(note.pk, note.learner_id, name, note.usage, note.text)
            after = batch[-1].pk


def _became(follower: Job) -> str:
    return "taken back by" if _takes_back(follower) else "its failures are tried again in"


def _takes_back(job: Job) -> bool:
    """And does not try the failures of an undo again."""
    return "undo_of" in job.selection


def _said(option: Any) -> str:
    return ("yes" if option else "no") if isinstance(option, bool) else str(option)


def _percent(part: int, whole: int) -> str:
    return f"{part * 100 / whole:.3f}"


def _local(moment: datetime | None) -> str:
    if moment is None:
        return ""
    return f"{localtime(moment) if is_aware(moment) else moment:%Y-%m-%d %H:%M:%S %Z}".strip()


def _duration(milliseconds: int) -> str:
    """At most two units: a glance tells how long it was."""
    if milliseconds < 10_000:
        return f"{milliseconds / 1000:.1f} s"
    seconds = milliseconds // 1000
    for name, length, smaller, in_smaller in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= length:
            return f"{seconds // length} {name} {seconds % length // in_smaller} {smaller}"
    return f"{seconds} s"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _usernames(ids: set[int]) -> dict[int, str]:
    if not ids:
        return {}
    model = get_user_model()
    accounts = model._default_manager.filter(pk__in=ids)
    return dict(accounts.values_list("pk", model.USERNAME_FIELD))
