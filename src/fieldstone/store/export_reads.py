"""The history of many learners at one block, as it is stored: some hundred revisions are in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connections
from opaque_keys.edx.keys import UsageKey

from fieldstone.store.engines import engine_of
from fieldstone.store.places import key_text
from fieldstone.store.routing import home_for_writing
from fieldstone.store.tables import HISTORY
from fieldstone.store.usages import find_usage

REVISIONS_AT_A_TIME = 500


class StoredRevision(NamedTuple):
    """One save, as its row in the history says it."""

    learner_id: int
    number: int  # the revision
    delta: str  # JSON: names to JSON texts, null for a field that was deleted
    created: datetime
    grade: float | None
    max_grade: float | None
    actor_id: int | None  # who wrote it, when that was not the learner
    origin: str


class _Reach(NamedTuple):
    """Some revisions, of which there are not many: those above a number, up to another, of some learners."""

    learner_ids: Sequence[int]
    above: int
    up_to: int


def revisions_of(
    latest: Mapping[int, int], usage_key: UsageKey, using: str | None = None
) -> Iterator[StoredRevision]:
    """Every revision that is kept of these learners, by learner, then by number.

    ``latest`` says of each learner the revision that was just read of the state: later ones are not given. All up
    to it were committed before this began, so none is missed; of later ones a move to the history's alias could
    show one and not the one before it.
    """
    home = home_for_writing(using)
    usage_id = find_usage(key_text(usage_key), home.states)
    if usage_id is None:
        return
    for reach in _reaches(latest):
        rows: dict[tuple[int, int], StoredRevision] = {}
        # The outbox first: a row that is moved between the two looks is seen by both, and not by neither.
        for alias in dict.fromkeys(home):
            rows |= {row[:2]: row for row in _read(alias, usage_id, reach)}
        for key in sorted(rows):
            if rows[key].number <= latest[rows[key].learner_id]:
                yield rows[key]


def _reaches(latest: Mapping[int, int]) -> Iterator[_Reach]:
    """Learners together as long as they have few revisions, who has many alone and bit by bit.

    A state's revision counts its saves, so how much there can be is known before it is read.
    """
    together: dict[int, int] = {}
    for learner_id, saves in sorted(latest.items()):
        if together and sum(together.values()) + saves > REVISIONS_AT_A_TIME:
            yield _Reach(list(together), 0, max(together.values()))
            together = {}
        if saves <= REVISIONS_AT_A_TIME:
            together[learner_id] = saves
            continue
        for above in range(0, saves, REVISIONS_AT_A_TIME):
            yield _Reach([learner_id], above, min(saves, above + REVISIONS_AT_A_TIME))
    if together:
        yield _Reach(list(together), 0, max(together.values()))


def _read(alias: str, usage_id: int, reach: _Reach) -> list[StoredRevision]:
    connection = connections[alias]
    engine = engine_of(connection)
    with connection.cursor() as cursor:
        cursor.execute(
            # The text is built of names of ours; values are parameters.
            f"{engine.select} student_id, revision, delta, {engine.time.format('created')}, grade, max_grade,"
            f" actor_id, origin FROM {HISTORY} WHERE student_id {engine.ids_listed} AND usage_id = %s"
            " AND revision > %s AND revision <= %s",
            [engine.listed(reach.learner_ids), usage_id, reach.above, reach.up_to],
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return [StoredRevision._make((*row[:3], engine.to_datetime(row[3]), *row[4:])) for row in rows]
