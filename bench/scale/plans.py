"""The plan of every statement that the store runs: none may read a table from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import uuid4

from django.db import connections
from django.utils import timezone

from bench.scale.load import BLOCKS_OF_OTHERS, Site
from bench.workload import COURSE
from fieldstone.store.engines.walk import Part
from fieldstone.store.places import Place, Preferences, Summary, UserInfo
from fieldstone.store.states import NO_GRADE, Grade
from fieldstone.store.store import Store
from fieldstone.store.usages import forget_all
from fieldstone.store.verify import Verification
from fieldstone.values import DELETED

WHOLE = ", from end to end"


class WholeTableError(Exception):
    """A statement of the store reads a table or an index from end to end; the message is its text and its plan."""


@dataclass(frozen=True)
class Plan:
    """What the server does for a statement: its nodes, outermost first."""

    statement: str
    nodes: tuple[str, ...]

    @property
    def reads_all(self) -> bool:
        return any(node.endswith(WHOLE) for node in self.nodes)

    def __str__(self) -> str:
        return f"{self.statement}\n  " + "\n  ".join(self.nodes)


Statement = tuple[str, Any]
"""Text and parameters."""


def plans(site: Site) -> list[Plan]:
    """The plans of all the statements, each plan once: with other parameters a statement may have another."""
    return list(dict.fromkeys(plan_of(site.alias, statement) for statement in _asked(site)))


def check(found: Sequence[Plan]) -> None:
    """Raises ``WholeTableError`` for the plans that read a whole table, all at once."""
    if bad := [str(plan) for plan in found if plan.reads_all]:
        raise WholeTableError("\n".join(bad))


def plan_of(alias: str, statement: Statement) -> Plan:
    """Asks for the plan; nothing is run."""
    text, parameters = statement
    with connections[alias].cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {text}", parameters)
        (found,) = cursor.fetchone()
    found = json.loads(found) if isinstance(found, str) else found
    return Plan(" ".join(text.split()), tuple(_nodes(found[0]["Plan"])))


def _nodes(node: dict[str, Any]) -> Iterator[str]:
    kind = node["Node Type"]
    index = f" using {node['Index Name']}" if "Index Name" in node else ""
    on = f" on {node['Relation Name']}" if "Relation Name" in node else ""
    # A scan of an index without a condition reads as much as one of the table, as under a Merge Join.
    whole = WHOLE if kind == "Seq Scan" or ("Index Name" in node and "Index Cond" not in node) else ""
    yield f"{kind}{index}{on}{whole}"
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _asked(site: Site) -> list[Statement]:
    """The statements of everything that a store can be asked for; BEGIN and its like have no plan."""
    asked: list[Statement] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.split(None, 1)[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
            asked.append((sql, params[0] if many else params))
        return execute(sql, params, many, context)

    with connections[site.alias].execute_wrapper(note):
        _ask_everything(site)
    return asked


def _ask_everything(site: Site) -> None:
    store, learner, keys = Store(site.alias), site.learners[len(site.learners) // 2], site.keys
    places: list[Place] = [*keys[:20], *map(Summary, keys[:20]), Preferences("video"), UserInfo()]
    for _ in range(2):  # with ids that the process knows, and without
        store.read(learner, places)
        forget_all()
    _ask_for_saves(store, learner, site)
    store.history(learner, keys[0])
    store.at(learner, keys[0], revision=1)
    store.at(learner, keys[0], moment=timezone.now())
    store.restore(learner, keys[0], revision=2)
    for batch in (10, 1_000):
        for scan in (
            store.scan(context=COURSE, batch=batch),
            store.scan(context=COURSE, block_type="problem", batch=batch),
            store.scan(usage_key=keys[len(keys) // 2], batch=batch),
        ):
            list(islice(scan, 2 * batch + 1))  # to the second statement, in the midst of the table
    # All but the count of states for its progress bar, which has to count them.
    for part in (Part(), Part(learner_id=learner)):
        next(Verification(site.alias, part, batch=100).batches())


def _ask_for_saves(store: Store, learner: int, site: Site) -> None:
    key, new = site.keys[0], COURSE.make_usage_key("problem", f"new_{BLOCKS_OF_OTHERS}")
    in_rows = {"speed": 2, "volume": DELETED}
    places: list[Place] = [key, new, Summary(key), Preferences("video"), UserInfo()]
    store.save(learner, dict.fromkeys(places, in_rows), origin="bench", actor=1)
    store.save(learner, {key: {"attempts": 1}}, grades={key: Grade(1, 2)}, token=uuid4())
    store.save(learner, {key: {"attempts": 2}}, grades={key: NO_GRADE})
