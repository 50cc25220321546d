"""The four scopes: places of other kinds than a block's own state, and all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from fieldstone.errors import InvalidLearnerError
from fieldstone.store import DELETED, Place, Preferences, Store, Summary, UserInfo
from fieldstone.store.usages import forget_all
from fieldstone.testing.clock import Clock
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.samples import (
    ELSEWHERE,
    NEW_YEAR,
    A,
    B,
    all_fields_of,
    fields_of,
    usage,
)


class ScopesContract(OnStores):
    def test_one_save_reaches_all_scopes_and_blocks(self, store: Store, learner: int) -> None:
        changes: dict[Place, dict[str, Any]] = {
            B: {"x": 2},
            A: {"x": 1},
            Summary(A): {"votes": {"yes": 1}},
            Preferences("problem"): {"speed": 1.5},
            UserInfo(): {"language": "de"},
        }
        store.save(learner, changes)
        assert all_fields_of(store, learner, changes) == changes

    def test_places_of_a_kind_are_kept_apart(self, store: Store, learner: int) -> None:
        blocks = [A, B, ELSEWHERE, usage("A"), usage("ax")]
        places: list[Place] = [
            *blocks,
            *map(Summary, blocks),
            *map(Preferences, ["a", "A", "a ", "b"]),
            UserInfo(),
        ]
        changes = {place: {"x": number} for number, place in enumerate(places)}
        store.save(learner, changes)
        assert all_fields_of(store, learner, places) == changes

    def test_row_per_field_scopes_merge_and_delete_by_field(self, store: Store, learner: int) -> None:
        places: list[Place] = [UserInfo(), Summary(A), Preferences("problem")]
        store.save(learner, {place: {"a": 1, "b": 2, "c": 3} for place in places})
        store.save(learner, {place: {"a": DELETED, "b": None} for place in places})
        assert all_fields_of(store, learner, places) == {place: {"b": None, "c": 3} for place in places}

    def test_a_field_of_the_other_scopes_has_a_time_of_its_own(
        self, store: Store, learner: int, clock: Clock
    ) -> None:
        places: list[Place] = [UserInfo(), Summary(A), Preferences("problem")]
        store.save(learner, {place: {"a": 1, "b": 1} for place in places})
        clock.move_to(NEW_YEAR + timedelta(days=1))
        store.save(learner, {place: {"a": 2} for place in places})
        for place, state in store.read(learner, places).items():
            times = state.times
            assert times is not None, place
            assert dict(times) == {"a": NEW_YEAR + timedelta(days=1), "b": NEW_YEAR}
            assert state.modified == NEW_YEAR + timedelta(days=1)
            assert state.revision is None

    def test_a_summary_is_everybodys_and_nobodys(self, store: Store, learner: int, another: int) -> None:
        store.save(None, {Summary(A): {"votes": 1}})
        store.save(learner, {Summary(A): {"more": 1}})
        for anybody in (None, learner, another):
            assert fields_of(store, anybody, Summary(A)) == {"votes": 1, "more": 1}
        with pytest.raises(InvalidLearnerError):
            store.save(None, {Summary(A): {"votes": 2}, UserInfo(): {"x": 1}})
        assert fields_of(store, None, Summary(A)) == {"votes": 1, "more": 1}

    @pytest.mark.parametrize("met", [True, False], ids=["ids known", "ids not known"])
    def test_a_prefetch_costs_one_query_a_scope(self, store: Store, learner: int, met: bool) -> None:
        blocks = [usage(f"b{n}") for n in range(300)]
        store.save(learner, {block: {"x": n} for n, block in enumerate(blocks)})
        if not met:
            forget_all()
        of_scopes: list[Sequence[Place]] = [
            blocks,
            [Summary(block) for block in blocks],
            [Preferences(f"t{n}") for n in range(9)],
            [UserInfo()],
        ]
        for places in of_scopes:
            with CaptureQueriesContext(connections[store.using]) as queries:
                states = store.read(learner, places)
                list(states.items())
            assert len(queries) <= 1, queries.captured_queries
        assert len(store.read(learner, blocks)) == 300

    def test_a_save_of_a_page_does_not_grow_in_queries_with_its_blocks(self, store: Store, learner: int) -> None:
        def queries_for(count: int) -> int:
            changes: dict[Place, dict[str, Any]] = {usage(f"b{n}"): {"x": 1} for n in range(count)}
            store.save(learner, changes)
            with CaptureQueriesContext(connections[store.using]) as queries:
                store.save(learner, changes)
            return len(queries)

        assert queries_for(200) <= queries_for(1)
