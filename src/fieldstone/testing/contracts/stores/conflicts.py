"""Saves on a revision that was read before."""

from __future__ import annotations

import pytest
from django.db import transaction
from opaque_keys.edx.keys import UsageKey

from fieldstone.errors import ConflictError, InvalidPlaceError
from fieldstone.store import Store, UserInfo
from fieldstone.testing.contracts.stores.base import OnStores
from fieldstone.testing.contracts.stores.samples import A, B, all_fields_of, fields_of


class ConflictsContract(OnStores):
    def test_a_save_on_the_revision_that_was_read_goes_through(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1}}, expected={A: 0})
        receipt = store.save(learner, {A: {"x": 2}, B: {"y": 1}}, expected={A: 1})
        assert receipt.states[A].revision == 2

    @pytest.mark.parametrize(
        ("expected", "current"), [({A: 1}, 2), ({A: 0}, 2), ({A: 3}, 2), ({B: 1}, 0), ({A: 2, B: 5}, 0)]
    )
    def test_a_save_on_another_revision_is_a_conflict_and_writes_nothing(
        self, store: Store, learner: int, expected: dict[UsageKey, int], current: int
    ) -> None:
        store.save(learner, {A: {"x": 1}})
        store.save(learner, {A: {"x": 2}})
        with pytest.raises(ConflictError) as caught:
            store.save(learner, {A: {"x": 3}, B: {"y": 1}, UserInfo(): {"u": 1}}, expected=expected)
        conflict = caught.value
        assert isinstance(conflict.usage_key, UsageKey)
        assert conflict.usage_key in expected
        assert (conflict.expected, conflict.current) == (expected[conflict.usage_key], current)
        assert all_fields_of(store, learner, [A, B, UserInfo()]) == {A: {"x": 2}}
        assert store.read(learner, [A])[A].revision == 2
        assert len(store.history(learner, A)) == 2

    def test_a_conflict_does_not_break_the_callers_transaction(self, store: Store, learner: int) -> None:
        store.save(learner, {A: {"x": 1}})
        with transaction.atomic(store.using):
            with pytest.raises(ConflictError):
                store.save(learner, {A: {"x": 2}}, expected={A: 0})
            store.save(learner, {A: {"x": 3}}, expected={A: 1})
        assert fields_of(store, learner, A) == {"x": 3}

    def test_a_revision_can_be_expected_only_of_what_is_saved(self, store: Store, learner: int) -> None:
        with pytest.raises(InvalidPlaceError):
            store.save(learner, {A: {"x": 1}}, expected={B: 0})
        assert not store.read(learner, [A])
