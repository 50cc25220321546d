"""Pools: blocks that give each learner some of their children, chosen once."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from opaque_keys.edx.keys import UsageKey
from web_fragments.fragment import Fragment
from xblock.fields import Integer, List, Scope

from fieldstone.runtime.structure import StructureBlock

EVERYTHING = -1
"""A ``max_count`` that gives all children; Open edX's word for it."""


class Pool(StructureBlock):
    """Gives each learner ``max_count`` of its children."""

    gives_each_learner_some: ClassVar[bool] = True
    """The runtime prefetches ``given()`` alone of what is below."""

    max_count = Integer(scope=Scope.settings, default=1, help="How many blocks each learner is given; -1: all.")
    selected = List(
        scope=Scope.user_state, default=[], help="[block type, block id] of what the learner was given."
    )

    def given(self) -> list[UsageKey]:
        """The children that this learner is given; chosen here when the learner comes for the first time.

        Afterwards it stays, whatever is added to the pool. What the author takes out is replaced, and so far as
        ``max_count`` has changed, blocks come or go: those go that came last.
        """
        children = {(key.block_type, key.block_id): key for key in self.children}
        count = 1 if self.max_count is None else self.max_count
        wanted = len(children) if count == EVERYTHING else max(count, 0)
        kept = list(dict.fromkeys(place for place in map(tuple, self.selected) if place in children))[:wanted]
        left = [place for place in children if place not in set(kept)]
        # By learner and pool, so that two first requests at once give the same.
        kept += self._random().sample(sorted(left), min(wanted - len(kept), len(left)))
        chosen = [list(place) for place in kept]
        if chosen != self.selected:
            self.selected = chosen
        return [children[place] for place in kept]

    def _random(self) -> Random:
        learner = getattr(self.runtime, "anonymous_student_id", self.scope_ids.user_id)
        return Random(f"{self.scope_ids.usage_id} {learner}")  # noqa: S311  # a choice, and no secret

    def student_view(self, context: dict[str, Any] | None = None) -> Fragment:
        """What the learner was given, one below the other."""
        given = [self.runtime.get_block(key, self) for key in self.given()]
        return self.one_below_the_other(given, "student_view", context)


POOLS: dict[str, type[Pool]] = {"library_content": Pool, "itembank": Pool, "randomize": Pool}
"""Block type to class. ``randomize`` has no ``max_count`` in OLX, and gives one."""
