"""The statements over the histories of many learners at one usage: a few, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from fieldstone.store.engines.history import KEY, HistoryRow, HistoryTable
from fieldstone.store.engines.placeholders import marks
from fieldstone.store.tables import HISTORY


class Histories(HistoryTable):
    """The table of history on one database alias, asked about many learners at once."""

    def read_until_of_many(
        self, usage_id: int, latest: Mapping[int, int], moment: datetime | None
    ) -> list[HistoryRow]:
        """``read_until`` of many learners at one usage: up to a revision of each, and to a moment if it is given.

        By learner, each oldest first; a query.
        """
        asked = list(latest.items())
        until, moments = "revision <= latest", []
        if moment is not None:
            until, moments = f"{until} AND created <= %s", [self._engine.moment(moment)]
        return self._rows(
            # With a LIMIT the first part is worked out once for each learner; without, PostgreSQL and MariaDB put
            # it into the second, and look for the snapshot again at each of the revisions.
            f"WITH asked (learner_id, latest) AS (VALUES {marks(asked)}), since AS ("
            f"SELECT learner_id, latest, (SELECT revision FROM {HISTORY} WHERE student_id = learner_id"
            f" AND usage_id = %s AND {until} AND snapshot IS NOT NULL ORDER BY revision DESC LIMIT 1) AS base"
            " FROM asked LIMIT %s)"
            f" SELECT {self._columns} FROM since JOIN {HISTORY} ON student_id = learner_id"
            # The range is for PostgreSQL: see ``read_rows``.
            " WHERE student_id >= %s AND student_id <= %s"
            f" AND usage_id = %s AND revision >= coalesce(base, 0) AND {until} ORDER BY {KEY}",
            [
                *(value for row in asked for value in row),
                *(usage_id, *moments, len(asked)),
                *(min(latest), max(latest), usage_id, *moments),
            ],
        )

    def ends_of_many(self, usage_id: int, learner_ids: Sequence[int]) -> list[HistoryRow]:
        """``ends`` of many learners at one usage, by learner; a query."""
        end = f"(SELECT revision FROM {HISTORY} WHERE student_id = learner_id AND usage_id = %s ORDER BY revision"
        asked = [(learner_id,) for learner_id in learner_ids]
        return self._rows(
            f"WITH asked (learner_id) AS (VALUES {marks(asked)}), found AS ("
            f"SELECT learner_id, {end} LIMIT 1) AS oldest, {end} DESC LIMIT 1) AS newest FROM asked LIMIT %s)"
            f" SELECT {self._columns} FROM found JOIN {HISTORY} ON student_id = learner_id"
            " WHERE student_id >= %s AND student_id <= %s"
            f" AND usage_id = %s AND revision IN (oldest, newest) ORDER BY {KEY}",
            [*learner_ids, usage_id, usage_id, len(asked), min(learner_ids), max(learner_ids), usage_id],
        )

    def saved_as(self, origin: str, usage_id: int, learner_ids: Sequence[int]) -> list[tuple[int, int]]:
        """(learner id, revision) of what was saved under an origin, of these learners at one usage; a query."""
        return self._fetch(
            f"{self._engine.select} student_id, revision FROM {HISTORY}"
            f" WHERE student_id {self._engine.ids_listed} AND usage_id = %s AND origin = %s",
            [self._engine.listed(learner_ids), usage_id, origin],
        )
