"""A job is checked, counted and cut into parts before anything of it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count, pairwise
from typing import Any

from django.db import connections, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from fieldstone import conf
from fieldstone.jobs.errors import JobRefusedError
from fieldstone.jobs.kinds import KINDS, kind_of
from fieldstone.jobs.kinds.base import Kind
from fieldstone.jobs.models import ENDED, Job, Part
from fieldstone.store import Store
from fieldstone.store.engines import engine_of
from fieldstone.store.places import context_text, key_text
from fieldstone.store.tables import CONTEXT, HIGHEST_ID, LOWEST_ID, USAGE
from fieldstone.store.usages import KeyTable

STATES_TO_A_PART = 20_000
CHUNKS_TO_A_PART = 20
"""A part has so many chunks at most, and so many states: enough parts for many workers, of slow kinds too."""
LEARNERS_TO_A_PART = 5_000


def start(
    kind: str,
    context: LearningContextKey,
    usage_keys: Sequence[UsageKey],
    *,
    options: dict[str, Any] | None = None,
    learners: Iterable[int] | None = None,
    at: Mapping[str, Sequence[int]] | None = None,
    requested_by: int | None = None,
    reason: str = "",
    request_info: Mapping[str, Any] | None = None,
    callback_prefix: str = "",
    is_dry_run: bool = False,
    selection: dict[str, Any] | None = None,
    of: Job | None = None,
) -> Job:
    """A job that waits for a worker. ``learners``: ids; without them it is about all.

    ``at`` says of each block, by its key's text, which learners it is about; all of these are ``learners``.
    ``request_info`` (username, ip, agent, host) and ``callback_prefix`` (scheme and host) are of the request that
    asks for it, if there is one: for tracking, and for external graders.

    Raises ``JobRefusedError`` for what cannot be done at all, at any of these blocks; nothing is written then.
    """
    work, options, at = kind_of(kind, options or {}), options or {}, at or {}
    work.check_blocks(usage_keys)
    using = Store().using
    whose = None if learners is None else _ids(learners)
    if of is None:
        work.check(usage_keys, whose)
    if whose and not work.needs_state:
        counts = {key_text(key): len(whose) for key in usage_keys}
    else:
        counts = _counts(using, usage_keys, whose)
    if not counts:
        raise JobRefusedError("Nobody has done anything there: there is no state to work on.")
    with transaction.atomic(using):
        _lock_context(using, context)
        job = Job(
            kind=kind,
            options=options,
            context=context_text(context),
            selection=selection or {},
            whose=whose,
            requested_by=requested_by,
            reason=reason,
            request_info=dict(request_info or {}),
            callback_prefix=callback_prefix,
            is_dry_run=is_dry_run,
            of=of,
            total=sum(counts.values() if whose is None else (len(at.get(usage, whose)) for usage in counts)),
            created=timezone.now(),
        )
        others = _overlapping(job, counts, _unended(job, using), using)
        if others and conf.jobs_overlap() == "refuse":
            raise JobRefusedError(
                f"Job {others[0].pk} ({others[0].kind}) is at the same learners' states. Wait until it has ended, "
                'or cancel it; with FIELDSTONE = {"JOBS_OVERLAP": "wait"} this one would wait.'
            )
        job.save(using=using)
        Part.objects.using(using).bulk_create(_parts(job, work, using, counts, at))
    return job


def _ids(learners: Iterable[int]) -> list[int]:
    """Each once, in order. Raises ``JobRefusedError`` for what is no id."""
    ids = list(learners)
    for learner_id in ids:
        if type(learner_id) is not int or not LOWEST_ID < learner_id <= HIGHEST_ID:
            raise JobRefusedError(f"{learner_id!r:.60} is no learner's id, which is a whole number.")
    return sorted(set(ids))


def in_the_way(job: Job, using: str) -> list[Job]:
    """The jobs about some of the same states that this one waits for: earlier ones, and those that have begun."""
    usages = job.parts.order_by().values_list("usage", flat=True).distinct()
    others = _unended(job, using).filter(Q(pk__lt=job.pk) | Q(started__isnull=False))
    return _overlapping(job, usages, others, using)


def _unended(job: Job, using: str) -> QuerySet[Job]:
    others = Job.objects.using(using).filter(context=job.context).exclude(status__in=ENDED)
    return others.exclude(pk=job.pk).order_by("pk")


def _overlapping(job: Job, usages: Iterable[str], others: QuerySet[Job], using: str) -> list[Job]:
    # A course may have more blocks than a statement takes parameters.
    mine = set(usages) - {""}
    found: list[Job] = []
    for other in others if _writes(job) else ():
        if not _writes(other):
            continue
        theirs = Part.objects.using(using).filter(job=other).order_by().values_list("usage", flat=True).distinct()
        if _share_learners(job.whose, other.whose) and not mine.isdisjoint(theirs):
            found.append(other)
    return found


def _writes(job: Job) -> bool:
    kind = KINDS.get(job.kind)
    return not job.is_dry_run and (kind is None or kind.writes)  # of a kind that the site has no more: who knows


def _share_learners(one: list[int] | None, other: list[int] | None) -> bool:
    return one is None or other is None or not set(one).isdisjoint(other)


def _lock_context(using: str, context: LearningContextKey) -> None:
    """Two jobs of a course are planned one after the other: else neither would see the other."""
    with connections[using].cursor() as cursor:
        ids = engine_of(connections[using]).select_ids(cursor, CONTEXT, [context_text(context)])
        engine_of(connections[using]).lock_rows(cursor, CONTEXT, ["id"], [(id_,) for id_ in ids.values()], ["id"])


def _counts(using: str, usage_keys: Sequence[UsageKey], whose: Sequence[int] | None) -> dict[str, int]:
    """How many states there are at each block, by its key's text, of blocks that have any; a query or two."""
    ids = KeyTable(USAGE, using).find([key_text(key) for key in usage_keys])
    with connections[using].cursor() as cursor:
        found = engine_of(connections[using]).count_states(cursor, sorted(ids.values()), whose)
    texts = (key_text(key) for key in usage_keys)  # in their order, which is the course's
    return {text: found[ids[text]] for text in texts if ids.get(text) in found}


def _parts(
    job: Job, kind: Kind, using: str, counts: dict[str, int], at: Mapping[str, Sequence[int]]
) -> Iterable[Part]:
    numbers = count(1)
    for usage, states in counts.items():
        for after, until, learners in _ranges(job, kind, using, usage, states, at):
            yield Part(job=job, number=next(numbers), usage=usage, after=after, until=until, learners=learners)
    if kind.closes:
        yield Part(job=job, number=next(numbers), after=LOWEST_ID, until=LOWEST_ID, is_closing=True)


def _ranges(
    job: Job, kind: Kind, using: str, usage: str, states: int, at: Mapping[str, Sequence[int]]
) -> Iterable[tuple[int, int, list[int] | None]]:
    """(after, until, learners) of a block's parts."""
    most = min(STATES_TO_A_PART, CHUNKS_TO_A_PART * kind.states_to_a_chunk)
    if job.whose is None:
        bounds = _bounds(using, usage, range(most, states, most))
        for after, until in pairwise([LOWEST_ID, *bounds, HIGHEST_ID]):
            yield after, until, None
        return
    whose = at.get(usage, job.whose)
    for start in range(0, len(whose), min(most, LEARNERS_TO_A_PART)):
        learners = list(whose[start : start + min(most, LEARNERS_TO_A_PART)])
        yield learners[0] - 1, learners[-1], learners


def _bounds(using: str, usage: str, cuts: Iterable[int]) -> list[int]:
    """The learners after whom a block's states are cut, so many states in."""
    usage_id = KeyTable(USAGE, using).find([usage])[usage]
    engine = engine_of(connections[using])
    with connections[using].cursor() as cursor:
        found = [engine.learner_at(cursor, usage_id, offset) for offset in cuts]
    return [learner_id for learner_id in found if learner_id is not None]
