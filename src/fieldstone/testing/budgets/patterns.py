"""The queries of a body, by what they ask and where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fieldstone.testing.budgets.counting import ENOUGH, OF_SAVEPOINTS, Counted, Query
from fieldstone.testing.budgets.remedies import Remedy
from fieldstone.testing.budgets.sql import shape_of, shown
from fieldstone.testing.places import Place

READ = re.compile(r"\s*SELECT .*? FROM [\"`]?([^\s\"`]+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Group:
    """All queries of one database that ask the same at the same place."""

    alias: str
    place: Place
    shape: str
    queries: Sequence[Query]
    """In their order, never empty."""
    remedy: Remedy | None
    origin: Place | None = None
    """Where the objects came from that the remedy is about."""

    @property
    def parameters(self) -> list[str]:
        """Each different one once, in their order, as they may be shown."""
        # Told apart as they are, and not as they are shown: two secrets are shown alike.
        different = {repr(query.params): query for query in self.queries}
        return [shown(query.sql, query.params, query.many) for query in different.values()]

    @property
    def is_pattern(self) -> bool:
        return len(self.queries) >= ENOUGH and not OF_SAVEPOINTS.match(self.shape)


def groups_of(counted: Counted) -> list[Group]:
    """Most queries first; of equals, that which began first."""
    together: dict[tuple[str, Place, str], list[Query]] = {}
    for query in counted.queries:
        together.setdefault((query.alias, query.place, shape_of(query.sql)), []).append(query)
    once = [query for queries in together.values() if len(queries) < ENOUGH for query in queries]
    groups = []
    for (alias, place, shape), queries in together.items():
        remedy = counted.remedies.get((place, shape))
        origin = _origin(once, remedy) if remedy else None
        groups.append(Group(alias, place, shape, queries, remedy, origin))
    return sorted(groups, key=lambda group: -len(group.queries))


def _origin(once: Sequence[Query], remedy: Remedy) -> Place | None:
    """The place of the query that read the objects a remedy is about, if only one did."""
    places = {query.place for query in once if _table_of(query.sql) == remedy.table}
    return places.pop() if len(places) == 1 else None


def _table_of(sql: str) -> str:
    """That which a SELECT is about; empty if it is about something else."""
    found = READ.match(sql)
    return found[1] if found else ""
